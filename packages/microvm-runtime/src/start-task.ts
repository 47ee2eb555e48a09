import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ManyhandsError, type RuntimeSpec, removeTree, type Workspace } from '@manyhands/core'
import type { Acceleration } from './accelerator.ts'
import { type BootedMachine, bootMachine } from './boot-machine.ts'
import { makeInputDisk, makeOutputDisk } from './disk-images.ts'
import { encodeConfig, FROM_GUEST, GuestFault, TO_GUEST } from './guest-protocol.ts'
import type { MachineDisk } from './machine-command.ts'
import type { MachineFiles } from './machine-files.ts'
import type { MachineRoom } from './machine-room.ts'
import { MICROVM_LIMITS } from './microvm-limits.ts'
import type { RootImage } from './root-image.ts'

/** The task's user in the guest, and QEMU's on this computer: an id that owns nothing. */
export const SANDBOX_ID = 10001

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const TMP_MIN = 1024 ** 2

export interface StartOptions {
  spec: RuntimeSpec
  workspace: Workspace
  image: RootImage
  room: MachineRoom
  files: MachineFiles
  acceleration: Acceleration
  qemu: string
  signal: AbortSignal
}

/** What a machine costs this computer at most, besides QEMU itself. */
export function guestMemoryBytes(memoryBytes: number): number {
  // A fiftieth goes into the kernel's own book-keeping of it.
  return Math.ceil(memoryBytes * 1.02) + MICROVM_LIMITS.guestMemoryBytes
}

/**
 * Makes the disks, boots the machine and starts the task in it. On failure no machine runs.
 *
 * @throws IMAGE_INVALID, COMMAND_INVALID, RUNTIME_FAILED, RUNTIME_UNAVAILABLE, the signal's reason
 */
export async function startTask(options: StartOptions): Promise<BootedMachine> {
  const { spec, image, files, signal } = options
  await using opened = new AsyncDisposableStack()
  const keep = <T extends { close(): Promise<void> }>(file: T) =>
    opened.adopt(file, (it) => it.close())
  const disks: MachineDisk[] = [{ name: 'root', fd: image.file.fd, readOnly: true }]
  for (const name of await makeDisks(options)) {
    const file = keep(await options.room.openDisk(name, name === 'in' ? 'r' : 'r+'))
    disks.push({ name, fd: file.fd, readOnly: name === 'in' })
  }
  const { kernel, initramfs } = await files.open(image.type)
  keep(kernel)
  keep(initramfs)
  const { accelerator, tscKhz, kvmGroup } = options.acceleration
  const booted = await bootMachine(
    {
      qemu: options.qemu,
      accelerator,
      tscKhz,
      kvmGroup,
      memoryBytes: guestMemoryBytes(spec.resources.memoryBytes),
      cpus: Math.ceil(spec.resources.cpus),
      user: SANDBOX_ID,
      kernelFd: kernel.fd,
      initramfsFd: initramfs.fd,
      disks,
    },
    { signal, deadlineMs: MICROVM_LIMITS.bootMs },
  )
  const end = () => void booted.machine.kill()
  signal.addEventListener('abort', end, { once: true })
  const late = setTimeout(end, MICROVM_LIMITS.bootMs)
  late.unref()
  try {
    await options.room.record(booted.machine.pid)
    signal.throwIfAborted()
    booted.machine.send(TO_GUEST.config, configOf(options))
    const answer = await booted.frames.next()
    if (answer.done === true) {
      await booted.machine.kill()
      signal.throwIfAborted()
      throw failed(spec, `the machine ended before the task began: ${booted.machine.lastWords}`)
    }
    const { type, body } = answer.value
    if (type === FROM_GUEST.failed) throw failureOf(spec, body)
    if (type !== FROM_GUEST.started) throw new GuestFault(`a frame of type ${type} at the start`)
    signal.throwIfAborted()
    return booted
  } catch (error) {
    await booted.machine.kill()
    signal.throwIfAborted()
    throw error instanceof GuestFault ? failed(spec, error.message) : error
  } finally {
    clearTimeout(late)
    signal.removeEventListener('abort', end)
  }
}

async function makeDisks(options: StartOptions): Promise<('in' | 'out')[]> {
  const { spec, workspace, room, signal } = options
  const { outDir } = workspace
  const out = makeOutputDisk(join(room.directory, 'out'), spec.resources.diskBytes, SANDBOX_ID, {
    ...{ directory: outDir, signal },
  })
  const input =
    workspace.inDir === undefined
      ? undefined
      : makeInputDisk(join(room.directory, 'in'), workspace.inDir, { signal })
  const [first, second] = await Promise.allSettled([out, input])
  if (first.status === 'rejected') throw first.reason
  if (second.status === 'rejected') throw second.reason
  // What it begins with is on its disk now, and comes back from there, changed or not.
  for (const name of await readdir(outDir)) await removeTree(join(outDir, name))
  return input === undefined ? ['out'] : ['in', 'out']
}

function configOf({ spec, image }: StartOptions): Buffer {
  const { memoryBytes, diskBytes, pids, cpus } = spec.resources
  const environment = { PATH, HOME: '/tmp', ...spec.env }
  return encodeConfig({
    user: SANDBOX_ID,
    clockMs: Date.now(),
    diskBytes,
    tmpBytes: Math.max(TMP_MIN, Math.min(diskBytes, Math.floor(memoryBytes / 2))),
    maxRuntimeMs: spec.maxRuntimeMs,
    limits: { memoryBytes, pids, cpus },
    argv: spec.command ?? [],
    environment: Object.entries(environment).map(([name, value]) => `${name}=${value}`),
    imageType: image.type,
    secrets: spec.secrets ?? {},
  })
}

const FAILURES = { 1: 'IMAGE_INVALID', 2: 'COMMAND_INVALID', 3: 'RUNTIME_FAILED' } as const

function failureOf(spec: RuntimeSpec, body: Buffer): ManyhandsError {
  const code = FAILURES[body[0] as keyof typeof FAILURES] ?? 'RUNTIME_FAILED'
  const words = body.toString('utf8', 1, 600)
  return new ManyhandsError(code, `attempt ${spec.attemptId}: ${words}`)
}

function failed(spec: RuntimeSpec, message: string): ManyhandsError {
  return new ManyhandsError('RUNTIME_FAILED', `attempt ${spec.attemptId}: ${message}`)
}
