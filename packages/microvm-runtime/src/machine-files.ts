import { constants } from 'node:fs'
import { chmod, copyFile, type FileHandle, mkdir, open, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { ManyhandsError } from '@manyhands/core'
import { GUEST_INIT } from './guest-init.ts'
import { buildInitramfs } from './initramfs.ts'
import { KernelModules } from './kernel-modules.ts'
import { MICROVM_LIMITS } from './microvm-limits.ts'
import type { ImageType } from './root-image.ts'

/**
 * What every machine of this runtime boots: a copy of the kernel, so that an upgrade of the computer
 * does not change it meanwhile, and one initramfs for each kind of image.
 */
export class MachineFiles {
  /** What identifies the kernel among all that this computer may have. */
  readonly identity: string
  readonly #directory: string
  readonly #modules: KernelModules
  readonly #made = new Map<ImageType, Promise<string>>()

  private constructor(identity: string, directory: string, modules: KernelModules) {
    this.identity = identity
    this.#directory = directory
    this.#modules = modules
  }

  /** @throws CONFIG_INVALID when the kernel or its modules cannot be read */
  static async prepare(
    kernel: string,
    modules: string | undefined,
    directory: string,
  ): Promise<MachineFiles> {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    try {
      const found = await stat(kernel)
      if (!found.isFile() || found.size > MICROVM_LIMITS.kernelBytes) {
        throw new ManyhandsError('CONFIG_INVALID', `kernel ${kernel} is no kernel`)
      }
      const copy = join(directory, 'kernel')
      await copyFile(kernel, copy, constants.COPYFILE_FICLONE)
      // QEMU may run as somebody else, and opens it itself.
      await chmod(copy, 0o444)
      const identity = `${kernel}:${found.size}:${found.mtimeMs}`
      return new MachineFiles(identity, directory, await KernelModules.open(modules))
    } catch (error) {
      if (error instanceof ManyhandsError) throw error
      const message = `kernel ${kernel}: ${(error as Error).message}`
      throw new ManyhandsError('CONFIG_INVALID', message, {
        cause: error,
        hint: 'Name a kernel: apt-get install linux-image-cloud-amd64, then /boot/vmlinuz-VERSION.',
      })
    }
  }

  /** Open files to boot from; the caller closes them. */
  async open(type: ImageType): Promise<{ kernel: FileHandle; initramfs: FileHandle }> {
    const made = this.#made.get(type) ?? this.#make(type)
    this.#made.set(type, made)
    const path = await made.catch((error: unknown) => {
      this.#made.delete(type)
      throw error
    })
    const kernel = await open(join(this.#directory, 'kernel'), 'r')
    try {
      return { kernel, initramfs: await open(path, 'r') }
    } catch (error) {
      await kernel.close()
      throw error
    }
  }

  async #make(type: ImageType): Promise<string> {
    const init = gunzipSync(Buffer.from(GUEST_INIT, 'base64'))
    const path = join(this.#directory, `initramfs-${type}`)
    const archive = buildInitramfs(init, await this.#modules.forFileSystem(type))
    await writeFile(path, archive, { mode: 0o444 })
    return path
  }
}

/** The version that a bzImage names itself; undefined for other kernels. */
export async function kernelVersion(kernel: string): Promise<string | undefined> {
  const file = await open(kernel, 'r').catch(() => undefined)
  if (file === undefined) return undefined
  try {
    const head = Buffer.alloc(64 * 1024)
    await file.read(head, 0, head.length, 0)
    if (head.toString('latin1', 0x202, 0x206) !== 'HdrS') return undefined
    const at = head.readUInt16LE(0x20e) + 0x200
    return /^[\w.+~-]+/.exec(head.toString('latin1', at, at + 128))?.[0]
  } finally {
    await file.close()
  }
}
