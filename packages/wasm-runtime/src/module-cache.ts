import { open } from 'node:fs/promises'
import { formatByteSize, ManyhandsError } from '@manyhands/core'
import { MEMORY_IMPORT } from './memory-import.ts'
import { type ModuleMemory, rewriteModule } from './module-rewrite.ts'
import { PREVIEW1, PREVIEW1_FUNCTIONS } from './wasi/preview1-functions.ts'
import { WASM_LIMITS } from './wasm-limits.ts'

/** A module that is checked and compiled; threads share its code. */
export interface CompiledModule {
  module: WebAssembly.Module
  memory: ModuleMemory | undefined
}

const KNOWN = new Set<string>(PREVIEW1_FUNCTIONS)

const invalid = (message: string, cause?: unknown) =>
  new ManyhandsError('IMAGE_INVALID', message, { cause })

/**
 * Compiles each module once, so that the second task on it starts in milliseconds. A module is known
 * by what its file is, not by its path: hosts stage the same file at a new path for each task.
 */
export class ModuleCache {
  readonly #modules = new Map<string, Promise<CompiledModule>>()

  /**
   * @throws IMAGE_NOT_FOUND when there is no such file, IMAGE_INVALID when it is not a WASI preview 1
   *   command module that can run here
   */
  async get(image: string): Promise<CompiledModule> {
    const { identity, read, close } = await openImage(image)
    try {
      const compiled = this.#modules.get(identity) ?? read().then((bytes) => compile(bytes, image))
      // Taking it out and putting it back makes it the most recently used.
      this.#modules.delete(identity)
      this.#modules.set(identity, compiled)
      for (const oldest of this.#modules.keys()) {
        if (this.#modules.size <= WASM_LIMITS.modulesCached) break
        this.#modules.delete(oldest)
      }
      try {
        return await compiled
      } catch (error) {
        if (this.#modules.get(identity) === compiled) this.#modules.delete(identity)
        throw error
      }
    } finally {
      await close()
    }
  }

  clear(): void {
    this.#modules.clear()
  }
}

async function openImage(image: string) {
  const file = await open(image, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') {
      throw new ManyhandsError('IMAGE_NOT_FOUND', `there is no module at ${image}`, {
        cause: error,
        hint: 'Name the path of a .wasm file.',
      })
    }
    throw invalid(`${image} cannot be read: ${error.message}`, error)
  })
  try {
    const stat = await file.stat({ bigint: true })
    if (!stat.isFile()) throw invalid(`${image} is not a file`)
    if (stat.size > WASM_LIMITS.moduleBytes) {
      const limit = formatByteSize(WASM_LIMITS.moduleBytes)
      throw invalid(`${image} has ${formatByteSize(Number(stat.size))}; a module may have ${limit}`)
    }
    return {
      identity: `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}`,
      // Never more than was seen: the file may be growing.
      read: async () => {
        const bytes = new Uint8Array(Number(stat.size))
        let length = 0
        while (length < bytes.length) {
          const { bytesRead } = await file.read(bytes, length, bytes.length - length, length)
          if (bytesRead === 0) break
          length += bytesRead
        }
        return bytes.subarray(0, length)
      },
      close: () => file.close(),
    }
  } catch (error) {
    await file.close()
    throw error
  }
}

async function compile(bytes: Uint8Array<ArrayBuffer>, image: string): Promise<CompiledModule> {
  const rewritten = rewriteModule(bytes, image)
  const module = await WebAssembly.compile(rewritten.bytes).catch((error: Error) => {
    throw invalid(`${image} does not compile: ${error.message}`, error)
  })
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    if (from === MEMORY_IMPORT) continue
    if (from !== PREVIEW1 || kind !== 'function' || !KNOWN.has(name)) {
      throw invalid(
        `${image} imports the ${kind} ${from}.${name}; a task may only import functions of ${PREVIEW1}`,
      )
    }
  }
  const start = WebAssembly.Module.exports(module).find(({ name }) => name === '_start')
  if (start?.kind !== 'function') {
    throw invalid(`${image} exports no function _start; build it as a WASI command, not a library`)
  }
  return { module, memory: rewritten.memory }
}
