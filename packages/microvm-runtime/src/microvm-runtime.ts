import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import {
  assertSupported,
  ManyhandsError,
  type Runtime,
  type RuntimeCapabilities,
  type RuntimeContext,
  type RuntimeFingerprint,
  type RuntimeHandle,
  type RuntimeSpec,
  type RuntimeTask,
  type Workspace,
} from '@manyhands/core'
import { BootGate } from './boot-gate.ts'
import type { Accelerator } from './machine-command.ts'
import { clearRooms, MachineRoom } from './machine-room.ts'
import { MachineSetup } from './machine-setup.ts'
import { MICROVM_LIMITS } from './microvm-limits.ts'
import { MicrovmTask } from './microvm-task.ts'
import { openRootImage } from './root-image.ts'
import { startTask } from './start-task.ts'

export interface MicrovmOptions {
  /** A Linux kernel for x86-64, such as `/boot/vmlinuz-VERSION`. */
  kernel: string
  /** Where the kernel's modules are, such as `/lib/modules/VERSION`; without: it has virtio built in. */
  modules?: string
  /** Name or path of QEMU, default `'qemu-system-x86_64'`. */
  qemu?: string
  /** `'auto'`, the default: KVM where a guest really starts with it, else emulation. */
  accel?: 'auto' | Accelerator
}

/**
 * Runs each attempt in a virtual machine of its own: QEMU's `microvm`, with a kernel that the owner names
 * and no network card. `spec.image` is a file with a file system: squashfs, ext4 or erofs.
 *
 * - The image is the guest's root, read-only; /in and /out are disks; /tmp is memory. The host mounts
 *   none of them: /out comes back through the guest, file by file, when the task has ended by itself or
 *   ran into a limit. A killed machine leaves nothing there.
 * - A machine has the task's memory and about 100 MiB besides; `resources.cpus` rounded up are its
 *   processors. Inside, the guest's kernel keeps the task to its limits.
 * - Without KVM the processor is emulated, about ten times slower; `fingerprint().detail` says so.
 * - Machines end with the host's process: nothing is taken up again.
 *
 * @example
 * const host = await createHost({ runtimes: [microvm({ kernel: '/boot/vmlinuz-6.1.0-56-cloud-amd64', modules: '/lib/modules/6.1.0-56-cloud-amd64' })] })
 */
export function microvm(options: MicrovmOptions): Runtime {
  return new MicrovmRuntime(options)
}

class MicrovmRuntime implements Runtime {
  readonly name = 'microvm'
  readonly capabilities: RuntimeCapabilities = {
    image: 'artifact',
    pause: true,
    limit: true,
    exec: false,
    dial: false,
    egress: false,
    secrets: true,
    gpus: false,
    recover: false,
    liveOutputs: false,
    restore: true,
    warm: false,
    isolation: 'microvm',
  }
  readonly #options: MicrovmOptions
  readonly #closing = new AbortController()
  readonly #tasks = new Map<string, MicrovmTask>()
  readonly #gate = new BootGate(availableParallelism())
  readonly #starting = new Set<Promise<unknown>>()
  #setup: MachineSetup | undefined
  #rooms = ''

  constructor(options: MicrovmOptions) {
    this.#options = options
  }

  async open(context: RuntimeContext): Promise<void> {
    this.#rooms = join(context.stateDir, 'machines')
    await clearRooms(this.#rooms)
    this.#setup = new MachineSetup(this.#options, context.stateDir, this.#closing.signal)
    this.#setup.begin()
  }

  async fingerprint(): Promise<RuntimeFingerprint> {
    try {
      return await this.#opened().fingerprint()
    } catch (error) {
      const { message, hint } = error as ManyhandsError
      const detail = hint === undefined ? message : `${message}. ${hint}`
      return { available: false, detail, attributes: {} }
    }
  }

  async start(
    spec: RuntimeSpec,
    workspace: Workspace,
    { signal }: { signal: AbortSignal },
  ): Promise<RuntimeTask> {
    signal.throwIfAborted()
    assertSupported(spec, this.capabilities, this.name)
    checkSpec(spec)
    const started = this.#start(spec, workspace, AbortSignal.any([signal, this.#closing.signal]))
    this.#starting.add(started)
    try {
      return await started
    } finally {
      this.#starting.delete(started)
    }
  }

  async recover(): Promise<undefined> {}

  async list(): Promise<RuntimeHandle[]> {
    return [...this.#tasks.values()].map((task) => task.handle)
  }

  async close(): Promise<void> {
    this.#closing.abort(new ManyhandsError('CLOSED', 'the microvm runtime was closed'))
    await Promise.allSettled(this.#starting)
    await Promise.all([...this.#tasks.values()].map((task) => task.kill()))
    await this.#setup?.end()
  }

  async #start(spec: RuntimeSpec, workspace: Workspace, signal: AbortSignal): Promise<MicrovmTask> {
    const image = await openRootImage(spec.image)
    try {
      const { files, acceleration, qemu } = await this.#opened().ready(signal)
      const room = await MachineRoom.create(this.#rooms, spec.attemptId).catch((cause: Error) => {
        throw new ManyhandsError('RUNTIME_FAILED', `attempt ${spec.attemptId}: ${cause.message}`, {
          cause,
        })
      })
      try {
        const options = { spec, workspace, image, room, files, acceleration, qemu, signal }
        const booted = await this.#gate.pass(() => startTask(options), signal)
        return this.#track(spec, workspace, booted, room)
      } catch (error) {
        await room.remove()
        throw error
      }
    } finally {
      await image.file.close()
    }
  }

  #track(
    spec: RuntimeSpec,
    workspace: Workspace,
    booted: Awaited<ReturnType<typeof startTask>>,
    room: MachineRoom,
  ): MicrovmTask {
    const task = new MicrovmTask({
      handle: { v: 1, runtime: this.name, id: spec.attemptId },
      booted,
      outDir: workspace.outDir,
      resources: spec.resources,
      maxRuntimeMs: spec.maxRuntimeMs,
      onGone: async () => {
        this.#tasks.delete(spec.attemptId)
        await room.remove()
      },
    })
    this.#tasks.set(spec.attemptId, task)
    return task
  }

  #opened(): MachineSetup {
    this.#closing.signal.throwIfAborted()
    if (this.#setup === undefined) {
      throw new ManyhandsError('INTERNAL', 'microvm: open() has to be called first')
    }
    return this.#setup
  }
}

function checkSpec(spec: RuntimeSpec): void {
  if (spec.resources.cpus > MICROVM_LIMITS.cpus) {
    throw new ManyhandsError(
      'UNSUPPORTED',
      `microvm: attempt ${spec.attemptId} asks for more than ${MICROVM_LIMITS.cpus} cores`,
    )
  }
  const invalid = (what: string) =>
    new ManyhandsError('COMMAND_INVALID', `attempt ${spec.attemptId}: ${what}`)
  if (spec.command === undefined || spec.command.length === 0) {
    throw invalid('a disk image has no entry point; give a command')
  }
  const strings = [...spec.command, ...Object.entries(spec.env).flat()]
  if (strings.some((text) => text.includes('\0'))) {
    throw invalid('an argument or variable contains a zero byte')
  }
}
