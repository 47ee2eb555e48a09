import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import binaryen from 'binaryen'

const ASSEMBLY = fileURLToPath(new URL('./assembly/', import.meta.url))
const CACHE = join(tmpdir(), 'manyhands-test-programs')

/** Puts a file under a name that says what it was made from, once; its path. */
async function cached(source: string, make: () => Promise<Uint8Array>): Promise<string> {
  const hash = createHash('sha256').update(source).digest('hex').slice(0, 16)
  const path = join(CACHE, `${hash}.wasm`)
  const exists = await stat(path).catch(() => undefined)
  if (exists !== undefined) return path
  await mkdir(CACHE, { recursive: true })
  const unfinished = `${path}.${process.pid}`
  await writeFile(unfinished, await make())
  await rename(unfinished, path)
  return path
}

/** Path of the program that the tests run: `program VERB …`. */
export async function testProgram(): Promise<string> {
  const names = ['program.ts', 'wasi.ts']
  const sources = await Promise.all(names.map((name) => readFile(join(ASSEMBLY, name), 'utf8')))
  return cached(sources.join('\0'), async () => {
    const asc = await import('assemblyscript/asc')
    let binary: Uint8Array | undefined
    const { error, stderr } = await asc.main(
      [
        'program.ts',
        '--outFile=program.wasm',
        '--exportStart=_start',
        '--runtime=stub',
        '--use=abort=',
        '-O2',
      ],
      {
        readFile: (name) => sources[names.indexOf(name)] ?? null,
        writeFile: (_name, contents) => {
          binary = contents as Uint8Array
        },
        listFiles: () => [],
      },
    )
    if (error !== null || binary === undefined) throw new Error(`asc: ${error}\n${stderr}`)
    return binary
  })
}

/** Path of a module written as text. */
export const textModule = (wat: string): Promise<string> => cached(wat, async () => binaryOf(wat))

export function binaryOf(wat: string): Uint8Array<ArrayBuffer> {
  const module = binaryen.parseText(wat)
  try {
    module.setFeatures(binaryen.Features.All)
    return new Uint8Array(module.emitBinary())
  } finally {
    module.dispose()
  }
}
