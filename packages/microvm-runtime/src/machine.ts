import { type ChildProcess, spawn } from 'node:child_process'
import type { Duplex } from 'node:stream'
import { ManyhandsError } from '@manyhands/core'
import { encodeFrame, type Frame, FrameReader, GuestFault } from './guest-protocol.ts'
import { type MachineCommandOptions, type MachineDisk, machineCommand } from './machine-command.ts'
import { MICROVM_LIMITS } from './microvm-limits.ts'
import { findProgram, PROGRAM_ENVIRONMENT } from './programs.ts'

/** How long what a machine said last may trail behind its end. */
const LAST_WORDS_MS = 200

export interface MachineOptions extends Omit<MachineCommandOptions, 'diskNames'> {
  kernelFd: number
  initramfsFd: number
  disks: readonly MachineDisk[]
}

/** One QEMU process and the channel to its guest. */
export class Machine {
  readonly #child: ChildProcess
  readonly #channel: Duplex
  readonly #exit = Promise.withResolvers<void>()
  #lastWords = Buffer.alloc(0)
  #complaint = Buffer.alloc(0)
  #running = true

  private constructor(child: ChildProcess) {
    this.#child = child
    this.#channel = child.stdio[3] as Duplex
    this.#channel.on('error', () => {})
    const bounded = (kept: Buffer, more: Buffer) =>
      Buffer.concat([kept, more]).subarray(-MICROVM_LIMITS.consoleBytes)
    const lastWords = child.stdio[4] as Duplex
    lastWords.on('error', () => {})
    lastWords.on('data', (bytes: Buffer) => {
      this.#lastWords = bounded(this.#lastWords, bytes)
    })
    child.stderr?.on('data', (bytes: Buffer) => {
      this.#complaint = bounded(this.#complaint, bytes)
    })
    child.once('exit', () => {
      this.#running = false
      // What it said last may be on its way; a channel that nobody reads would hold it up for ever.
      setTimeout(this.#exit.resolve, LAST_WORDS_MS)
    })
    child.once('close', () => this.#exit.resolve())
  }

  /** @throws RUNTIME_UNAVAILABLE when a program is missing or cannot be started */
  static async start(options: MachineOptions): Promise<Machine> {
    const [program, ...args] = machineCommand({ ...options, diskNames: options.disks })
    const path = await findProgram(program!)
    const child = spawn(path, args, {
      env: PROGRAM_ENVIRONMENT,
      cwd: '/',
      stdio: [
        'ignore',
        'ignore',
        'pipe',
        'pipe',
        'pipe',
        options.kernelFd,
        options.initramfsFd,
        ...options.disks.map(({ fd }) => fd),
      ],
    })
    const failed = Promise.withResolvers<never>()
    child.once('error', (cause) =>
      failed.reject(
        new ManyhandsError('RUNTIME_UNAVAILABLE', `${path}: ${cause.message}`, { cause }),
      ),
    )
    const spawned = new Promise<void>((resolve) => child.once('spawn', resolve))
    await Promise.race([spawned, failed.promise])
    return new Machine(child)
  }

  get pid(): number {
    return this.#child.pid!
  }

  get running(): boolean {
    return this.#running
  }

  /** Settles when the process is gone and everything it said has arrived. */
  get exited(): Promise<void> {
    return this.#exit.promise
  }

  /** What QEMU or the guest's kernel had to say at the end, for error messages. */
  get lastWords(): string {
    const words = [this.#complaint, this.#lastWords].map((bytes) => bytes.toString().trim())
    return words
      .filter((text) => text !== '')
      .join('; ')
      .replace(/\s*\n\s*/g, '; ')
      .slice(-1000)
  }

  /**
   * Frames of the guest, until the machine ends. One reader; who is slow holds up the guest.
   *
   * @throws GuestFault
   */
  async *frames(): AsyncGenerator<Frame> {
    const reader = new FrameReader()
    try {
      for await (const chunk of this.#channel) yield* reader.push(chunk as Buffer)
    } catch (error) {
      // A machine that was killed closes its end without a word.
      if (error instanceof GuestFault) throw error
    }
  }

  send(type: number, body?: Uint8Array): void {
    if (this.#running && this.#channel.writable) this.#channel.write(encodeFrame(type, body))
  }

  pause(): void {
    if (this.#running) this.#child.kill('SIGSTOP')
  }

  resume(): void {
    if (this.#running) this.#child.kill('SIGCONT')
  }

  /** Ends the process now, also when paused. Resolves when it is gone. */
  async kill(): Promise<void> {
    if (this.#running) this.#child.kill('SIGKILL')
    await this.#exit.promise
  }
}
