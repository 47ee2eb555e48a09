import { arch, platform } from 'node:process'
import { ManyhandsError, type RuntimeFingerprint } from '@manyhands/core'
import { type Acceleration, probeAcceleration } from './accelerator.ts'
import type { Accelerator } from './machine-command.ts'
import { kernelVersion, MachineFiles } from './machine-files.ts'
import { findProgram, runProgram } from './programs.ts'
import { guestMemoryBytes, SANDBOX_ID } from './start-task.ts'

/** How long a setup that failed is left alone before it is tried again. */
const RETRY_MS = 30_000

export interface ReadySetup {
  qemu: string
  version: string
  files: MachineFiles
  acceleration: Acceleration
}

export interface SetupOptions {
  kernel: string
  modules?: string
  qemu?: string
  accel?: 'auto' | Accelerator
}

/** What was found out about this computer by booting on it; it holds as long as the process does. */
const known = new Map<string, Acceleration>()

/** Everything that machines need before the first of them: programs, kernel, modules, acceleration. */
export class MachineSetup {
  readonly #options: SetupOptions
  readonly #directory: string
  readonly #signal: AbortSignal
  #ready: Promise<ReadySetup> | undefined
  #failedAt: number | undefined

  constructor(options: SetupOptions, directory: string, signal: AbortSignal) {
    this.#options = options
    this.#directory = directory
    this.#signal = signal
  }

  /** Starts the work without waiting for it; a failure is told by whoever needs it. */
  begin(): void {
    void this.#current().catch(() => {})
  }

  /** @throws CONFIG_INVALID, RUNTIME_UNAVAILABLE, RUNTIME_FAILED, the signal's reason */
  async ready(signal: AbortSignal): Promise<ReadySetup> {
    signal.throwIfAborted()
    const aborted = Promise.withResolvers<never>()
    const abort = () => aborted.reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    try {
      return await Promise.race([this.#current(), aborted.promise])
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  async fingerprint(): Promise<RuntimeFingerprint> {
    const { version, acceleration } = await this.#current()
    const kernel = await kernelVersion(this.#options.kernel)
    return {
      available: true,
      version: `QEMU ${version}`,
      detail: acceleration.remark,
      isolation: 'microvm',
      attributes: {
        'microvm.accel': acceleration.accelerator,
        'microvm.qemu': version,
        ...(kernel === undefined ? {} : { 'microvm.kernel': kernel }),
      },
    }
  }

  /** Waits for work that the closing signal has called off. */
  async end(): Promise<void> {
    await this.#ready?.catch(() => {})
  }

  #current(): Promise<ReadySetup> {
    const stale = this.#failedAt !== undefined && performance.now() - this.#failedAt > RETRY_MS
    if (stale) this.#ready = undefined
    this.#ready ??= this.#prepare().catch((error: unknown) => {
      this.#failedAt = performance.now()
      throw error
    })
    return this.#ready
  }

  async #prepare(): Promise<ReadySetup> {
    this.#failedAt = undefined
    if (platform !== 'linux' || arch !== 'x64') {
      throw new ManyhandsError('RUNTIME_UNAVAILABLE', 'microvm needs Linux on x86-64')
    }
    const { kernel, modules, accel = 'auto' } = this.#options
    const qemu = await findProgram(this.#options.qemu ?? 'qemu-system-x86_64')
    for (const name of ['mkfs.ext4', 'setpriv', 'unshare']) await findProgram(name)
    const said = await runProgram(qemu, ['--version'], { signal: this.#signal })
    const version = /version (\S+)/.exec(said.toString())?.[1] ?? 'unknown'
    const files = await MachineFiles.prepare(kernel, modules, this.#directory)
    const key = JSON.stringify([qemu, version, files.identity, accel])
    const acceleration = known.get(key) ?? (await this.#probe(files, qemu, accel))
    known.set(key, acceleration)
    return { qemu, version, files, acceleration }
  }

  async #probe(
    files: MachineFiles,
    qemu: string,
    accel: 'auto' | Accelerator,
  ): Promise<Acceleration> {
    const { kernel, initramfs } = await files.open('ext4')
    try {
      const boot = {
        qemu,
        memoryBytes: guestMemoryBytes(32 * 1024 ** 2),
        cpus: 1,
        user: SANDBOX_ID,
        kernelFd: kernel.fd,
        initramfsFd: initramfs.fd,
      }
      return await probeAcceleration(boot, accel, this.#signal)
    } finally {
      await kernel.close()
      await initramfs.close()
    }
  }
}
