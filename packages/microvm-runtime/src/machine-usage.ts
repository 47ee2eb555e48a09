import type { Usage } from '@manyhands/core'
import type { GuestStatus } from './guest-protocol.ts'
import { processCpuMs } from './process-facts.ts'

/** Two samples closer than this say nothing about cores; the last rate is repeated. */
const RATE_WINDOW_MS = 100

/**
 * What a machine uses: its processor time is QEMU's, as this computer counts it, emulation included.
 * Memory, processes and disk are the task's, as the guest's kernel counts them.
 */
export class MachineUsage {
  readonly #pid: number
  readonly #startedAt = performance.now()
  #guest: GuestStatus = { memoryBytes: 0, memoryPeakBytes: 0, diskBytes: 0, pids: 1, oomKills: 0 }
  #memoryPeakBytes = 0
  #cpuMs = 0
  #rateFrom: { atMs: number; cpuMs: number } | undefined
  #cpu = 0
  #endedAt: number | undefined

  constructor(pid: number) {
    this.#pid = pid
  }

  report(status: GuestStatus): void {
    this.#guest = status
    this.#memoryPeakBytes = Math.max(this.#memoryPeakBytes, status.memoryPeakBytes)
  }

  /** Called while the process is still there: its time is gone with it. */
  end(): void {
    this.#count()
    this.#endedAt ??= performance.now()
  }

  sample(): Usage {
    const ended = this.#endedAt !== undefined
    const elapsedMs = (this.#endedAt ?? performance.now()) - this.#startedAt
    if (!ended) {
      this.#count()
      this.#rate(elapsedMs)
    }
    return {
      elapsedMs,
      cpu: ended ? 0 : this.#cpu,
      cpuMs: this.#cpuMs,
      memory: ended ? 0 : this.#guest.memoryBytes,
      memoryPeak: this.#memoryPeakBytes,
      pids: ended ? 0 : this.#guest.pids,
      disk: this.#guest.diskBytes,
      netIn: 0,
      netOut: 0,
    }
  }

  #count(): void {
    this.#cpuMs = Math.max(this.#cpuMs, processCpuMs(this.#pid) ?? 0)
  }

  #rate(atMs: number): void {
    const from = this.#rateFrom
    if (from !== undefined && atMs - from.atMs < RATE_WINDOW_MS) return
    this.#rateFrom = { atMs, cpuMs: this.#cpuMs }
    if (from !== undefined) this.#cpu = (this.#cpuMs - from.cpuMs) / (atMs - from.atMs)
  }
}
