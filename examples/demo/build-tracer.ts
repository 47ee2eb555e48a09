import { mkdir, readdir, rename, stat } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import asc from 'assemblyscript/asc'

const ASSEMBLY = fileURLToPath(new URL('./assembly/', import.meta.url))
const BUILD = fileURLToPath(new URL('../../out/demo/', import.meta.url))

/** Compiles the tracer unless what is there is newer than its sources; the path of the module. */
export async function buildTracer(): Promise<string> {
  const module = `${BUILD}tracer.wasm`
  const sources = (await readdir(ASSEMBLY)).map((name) => `${ASSEMBLY}${name}`)
  const newest = Math.max(...(await Promise.all([...sources, import.meta.filename].map(changedAt))))
  if ((await changedAt(module)) > newest) return module

  await mkdir(BUILD, { recursive: true })
  const unfinished = `${module}.${process.pid}`
  const { error, stderr } = await asc.main([
    `${ASSEMBLY}tracer.ts`,
    `--outFile=${unfinished}`,
    // A WASI command: it exports its start and its memory, and imports nothing but WASI.
    '--exportStart=_start',
    '--use=abort=',
    '--runtime=stub',
    '-O3',
    '--converge',
    '--noAssert',
  ])
  if (error !== null) throw new Error(`the tracer does not compile: ${error.message}\n${stderr}`)
  await rename(unfinished, module)
  return module
}

async function changedAt(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.mtimeMs ?? 0
}
