/**
 * `npm run bench -- [name…] [--option value…]`: every measured promise, one JSON document per line on
 * stdout. Each prints a ratio against a peer or a limit in the same run; read those, machines are noisy.
 * Options go to the named benchmarks, as for a short try: `npm run bench -- swarm --mb 8 --rounds 1`.
 * What several of them use lies in bench/shared; bench/README.md says what each needs.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'

const root = new URL('../', import.meta.url).pathname

const given = process.argv.slice(2)
const firstOption = given.findIndex((each) => each.startsWith('--'))
const wanted = firstOption === -1 ? given : given.slice(0, firstOption)
const options = firstOption === -1 ? [] : given.slice(firstOption)
const names = (await readdir(`${root}bench`))
  .filter((name) => name.endsWith('.ts'))
  .map((name) => name.slice(0, -'.ts'.length))
  .filter((name) => wanted.length === 0 || wanted.includes(name))
  .sort()

// What users get is what is built; sources cost every thread and process their translation.
const built = existsSync(`${root}packages/core/dist/index.js`)
const conditions = built ? [] : ['--conditions=@manyhands/source']

let failed = 0
for (const name of names) {
  process.stderr.write(`── ${name}\n`)
  const child = spawn(process.execPath, [...conditions, `${root}bench/${name}.ts`, ...options], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const code = await new Promise((resolve) => child.once('exit', resolve))
  if (code !== 0) failed += 1
}
process.exitCode = failed === 0 ? 0 : 1
