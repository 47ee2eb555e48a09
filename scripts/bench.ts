/**
 * `npm run bench [name…]`: every measured promise, one JSON document per line on stdout. Each prints a
 * ratio against a peer or a limit in the same run; read those, machines are noisy. What several of them
 * use lies in bench/shared.
 */
import { spawn } from 'node:child_process'
import { readdir } from 'node:fs/promises'

const root = new URL('../', import.meta.url).pathname

const wanted = process.argv.slice(2)
const names = (await readdir(`${root}bench`))
  .filter((name) => name.endsWith('.ts'))
  .map((name) => name.slice(0, -'.ts'.length))
  .filter((name) => wanted.length === 0 || wanted.includes(name))
  .sort()

let failed = 0
for (const name of names) {
  process.stderr.write(`── ${name}\n`)
  const child = spawn(
    process.execPath,
    ['--conditions=@manyhands/source', `${root}bench/${name}.ts`],
    { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] },
  )
  const code = await new Promise((resolve) => child.once('exit', resolve))
  if (code !== 0) failed += 1
}
process.exitCode = failed === 0 ? 0 : 1
