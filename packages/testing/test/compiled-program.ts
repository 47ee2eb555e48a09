import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const CACHE = join(tmpdir(), 'manyhands-test-programs')

/**
 * Path of a program that needs nothing beside itself, made of a C file in programs/. Undefined where no
 * compiler is, which is said in one visible line; on CI it is a failure.
 */
export async function compiledProgram(name: string): Promise<string | undefined> {
  const source = fileURLToPath(new URL(`./programs/${name}.c`, import.meta.url))
  if (spawnSync('cc', ['--version']).status !== 0) {
    const how = `${name}: no C compiler is here; install gcc and libc6-dev`
    if (process.env['CI']) throw new Error(how)
    process.stderr.write(`skipped: ${how}\n`)
    return undefined
  }
  const hash = createHash('sha256')
    .update(await readFile(source))
    .digest('hex')
  const path = join(CACHE, `${name}-${hash.slice(0, 16)}`)
  if ((await stat(path).catch(() => undefined)) !== undefined) return path
  await mkdir(CACHE, { recursive: true })
  const unfinished = `${path}.${process.pid}`
  execFileSync('cc', ['-static', '-O1', '-Wall', '-Werror', '-o', unfinished, source])
  await rename(unfinished, path)
  return path
}
