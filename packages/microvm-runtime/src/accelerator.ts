import { readFile, stat } from 'node:fs/promises'
import { getuid } from 'node:process'
import { type BootedMachine, bootMachine } from './boot-machine.ts'
import { FROM_GUEST, TO_GUEST } from './guest-protocol.ts'
import type { MachineOptions } from './machine.ts'
import type { Accelerator } from './machine-command.ts'
import { MICROVM_LIMITS } from './microvm-limits.ts'

/** How machines are run on this computer, found out by running one. */
export interface Acceleration {
  accelerator: Accelerator
  kvmGroup: number | undefined
  tscKhz: number | undefined
  /** Why it is not KVM. */
  remark?: string
}

type Boot = Omit<MachineOptions, 'accelerator' | 'tscKhz' | 'kvmGroup' | 'disks'>

const PINGS = 12
const BETWEEN_MS = 300

/**
 * Boots the kernel once: with KVM, where it is wanted and answers in time, else emulated. A device file
 * proves nothing: nested or restricted hosts have one on which no guest starts.
 *
 * @throws RUNTIME_FAILED, RUNTIME_UNAVAILABLE when the kernel boots in neither
 */
export async function probeAcceleration(
  boot: Boot,
  wanted: 'auto' | Accelerator,
  signal: AbortSignal,
): Promise<Acceleration> {
  let remark: string | undefined
  if (wanted !== 'tcg') {
    try {
      const kvmGroup = await groupOfKvm()
      const options = {
        ...boot,
        accelerator: 'kvm' as const,
        kvmGroup,
        tscKhz: undefined,
        disks: [],
      }
      const { machine } = await bootMachine(options, {
        signal,
        deadlineMs: MICROVM_LIMITS.kvmProbeMs,
      })
      await machine.kill()
      return { accelerator: 'kvm', kvmGroup, tscKhz: undefined }
    } catch (error) {
      signal.throwIfAborted()
      if (wanted === 'kvm') throw error
      const { message, hint } = error as { message: string; hint?: string }
      const group = await groupOfKvm().catch(() => undefined)
      const closed = getuid?.() === 0 && group === undefined ? '; no group may use /dev/kvm' : ''
      remark = `KVM does not work here, so machines are emulated, about ten times slower (${message}${hint === undefined ? '' : `: ${hint}`}${closed})`
    }
  }
  const guess = await guessTscKhz()
  const options = {
    ...boot,
    accelerator: 'tcg' as const,
    kvmGroup: undefined,
    tscKhz: guess,
    disks: [],
  }
  const booted = await bootMachine(options, { signal, deadlineMs: MICROVM_LIMITS.bootMs })
  try {
    const tscKhz = await measureTscKhz(booted, signal)
    return { accelerator: 'tcg', kvmGroup: undefined, tscKhz, remark }
  } finally {
    await booted.machine.kill()
  }
}

async function groupOfKvm(): Promise<number | undefined> {
  const found = await stat('/dev/kvm')
  return (found.mode & 0o060) === 0o060 ? found.gid : undefined
}

/** Good enough to boot with; a computer that saves power shows less than its counter runs at. */
async function guessTscKhz(): Promise<number> {
  const text = await readFile('/proc/cpuinfo', 'latin1').catch(() => '')
  const megahertz = Number(/^cpu MHz\s*:\s*([\d.]+)/m.exec(text)?.[1] ?? 0)
  return megahertz > 100 ? Math.round(megahertz * 1000) : 2_000_000
}

/**
 * Emulation passes this computer's time stamp counter on, and no emulated device tells its frequency.
 * The guest reads it when asked; the fastest answers of two rounds are the most exact.
 */
async function measureTscKhz(
  { machine, frames }: BootedMachine,
  signal: AbortSignal,
): Promise<number | undefined> {
  const late = AbortSignal.any([signal, AbortSignal.timeout(MICROVM_LIMITS.bootMs)])
  const end = () => void machine.kill()
  late.addEventListener('abort', end, { once: true })
  const round = async () => {
    let best = { spanMs: Number.POSITIVE_INFINITY, atMs: 0, ticks: 0n }
    for (let count = 0; count < PINGS; count += 1) {
      const sentMs = performance.now()
      machine.send(TO_GUEST.ping)
      const answer = await frames.next()
      if (answer.done === true) return undefined
      if (answer.value.type !== FROM_GUEST.pong || answer.value.body.length !== 8) return undefined
      const spanMs = performance.now() - sentMs
      if (spanMs < best.spanMs) {
        best = { spanMs, atMs: sentMs + spanMs / 2, ticks: answer.value.body.readBigUInt64LE() }
      }
    }
    return best
  }
  try {
    const first = await round()
    await new Promise((resolve) => setTimeout(resolve, BETWEEN_MS))
    const second = await round()
    signal.throwIfAborted()
    if (first === undefined || second === undefined) return undefined
    const khz = Math.round(Number(second.ticks - first.ticks) / (second.atMs - first.atMs))
    return khz > 100_000 && khz < 20_000_000 ? khz : undefined
  } finally {
    late.removeEventListener('abort', end)
  }
}
