import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gunzip, zstdDecompress } from 'node:zlib'
import { ManyhandsError } from '@manyhands/core'
import { MICROVM_LIMITS } from './microvm-limits.ts'
import { runProgram } from './programs.ts'

/** What every machine needs besides its image's file system. What a kernel has built in has no file. */
const NEEDED = ['virtio_mmio', 'virtio_blk', 'virtio_console', 'crc32c_generic', 'ext4']

const MODULE = /^(.+)\.ko(\.(?:gz|xz|zst))?$/

/**
 * The module files that a kernel needs for our machines, read and unpacked, in the order in which they
 * have to be loaded. Dependencies are those that the files themselves name, so no `depmod` is needed.
 */
export class KernelModules {
  readonly #files: Map<string, string>

  private constructor(files: Map<string, string>) {
    this.#files = files
  }

  /** @throws CONFIG_INVALID when the directory cannot be read */
  static async open(directory: string | undefined): Promise<KernelModules> {
    const files = new Map<string, string>()
    if (directory === undefined) return new KernelModules(files)
    const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(
      (cause: Error) => {
        throw new ManyhandsError('CONFIG_INVALID', `modules ${directory}: ${cause.message}`, {
          cause,
          hint: 'Name the directory of the kernel: /lib/modules/VERSION.',
        })
      },
    )
    for (const entry of entries) {
      const name = MODULE.exec(entry.name)?.[1]
      if (name !== undefined && entry.isFile()) {
        files.set(name.replaceAll('-', '_'), join(entry.parentPath, entry.name))
      }
    }
    return new KernelModules(files)
  }

  async forFileSystem(type: string): Promise<Buffer[]> {
    const loaded = new Map<string, Buffer>()
    for (const name of [...NEEDED, type]) await this.#add(name, loaded)
    return [...loaded.values()]
  }

  async #add(name: string, loaded: Map<string, Buffer>, above: string[] = []): Promise<void> {
    const path = this.#files.get(name)
    if (path === undefined || loaded.has(name) || above.includes(name)) return
    const bytes = await readModule(path)
    for (const needed of dependencies(bytes)) await this.#add(needed, loaded, [...above, name])
    loaded.set(name, bytes)
  }
}

/** From the file's own `.modinfo`: `depends=virtio,virtio_ring`. */
function dependencies(bytes: Buffer): string[] {
  const at = bytes.indexOf('\0depends=')
  if (at < 0) return []
  const from = at + '\0depends='.length
  const list = bytes.toString('latin1', from, bytes.indexOf(0, from))
  return list.split(',').flatMap((name) => (name === '' ? [] : [name.replaceAll('-', '_')]))
}

async function readModule(path: string): Promise<Buffer> {
  if ((await stat(path)).size > MICROVM_LIMITS.moduleBytes) {
    throw new ManyhandsError('CONFIG_INVALID', `module ${path} is too large to be one`)
  }
  const options = { maxOutputLength: MICROVM_LIMITS.moduleBytes }
  if (path.endsWith('.xz')) {
    return runProgram('xz', ['--decompress', '--stdout', path], {
      maxBytes: MICROVM_LIMITS.moduleBytes,
    })
  }
  const bytes = await readFile(path)
  if (path.endsWith('.gz')) return promisify(gunzip)(bytes, options)
  if (path.endsWith('.zst')) return promisify(zstdDecompress)(bytes, options)
  return bytes
}
