/**
 * Builds what is published: JavaScript by tsup, and for browsers by esbuild, declarations by the compiler.
 * Runs inside `npm ci` (prepare), so that the bin and plain imports work right after it.
 */
import { spawn } from 'node:child_process'
import { cp, readdir } from 'node:fs/promises'
import { buildForBrowser } from './browser-build.ts'

const bin = new URL('../node_modules/.bin/', import.meta.url).pathname
const root = new URL('../', import.meta.url).pathname

const run = (command: string, args: string[], cwd: string) =>
  new Promise<void>((resolve, reject) => {
    const child = spawn(`${bin}${command}`, args, { cwd, stdio: ['ignore', 'inherit', 'inherit'] })
    child.once('error', reject)
    child.once('exit', (code) =>
      code === 0 ? resolve() : reject(new Error(`${command} in ${cwd} exited with ${code}`)),
    )
  })

const packages = (await readdir(`${root}packages`, { withFileTypes: true }))
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name)

const queue = [...packages]
const lane = async () => {
  for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
    await run('tsup', [], `${root}packages/${name}`)
    await buildForBrowser(name)
  }
}
await Promise.all([
  lane(),
  lane(),
  process.argv.includes('--no-types') ? undefined : run('tsc', ['-p', 'tsconfig.build.json'], root),
])
if (!process.argv.includes('--no-types')) {
  for (const name of packages) {
    await cp(
      `${root}node_modules/.cache/declarations/${name}/src`,
      `${root}packages/${name}/dist`,
      {
        recursive: true,
      },
    )
  }
}
