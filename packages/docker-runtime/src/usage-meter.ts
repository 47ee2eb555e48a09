import { NO_USAGE, type Usage } from '@manyhands/core'
import type Docker from 'dockerode'
import { type CgroupReader, type CgroupReading, findCgroup } from './cgroup.ts'
import type { DiskMeter } from './disk/disk-meter.ts'
import type { Engine } from './engine.ts'
import { engineError, engineStatus } from './engine-error.ts'
import { readEngineStats } from './engine-stats.ts'

/** Two samples closer than this say nothing about cores; the last rate is repeated. */
const RATE_WINDOW_MS = 100

/** Samples of one container: from its cgroup files when they are here, else from the engine. */
export class UsageMeter {
  readonly #engine: Engine
  readonly #container: Docker.Container
  readonly #disk: DiskMeter
  readonly #startedAt: number
  readonly #traffic: () => { in: number; out: number }
  readonly #gpuUse: (() => Promise<number | undefined>) | undefined
  #cgroup: Promise<CgroupReader | undefined> | undefined
  #rateFrom: { atMs: number; cpuMs: number } | undefined
  #last: Usage = NO_USAGE
  #endedAt: number | undefined

  /**
   * @param traffic - bytes over the network, which the container itself does not have
   * @param gpuUse - mean use of its GPUs, 0…1; undefined for one that has none
   */
  constructor(
    engine: Engine,
    container: Docker.Container,
    disk: DiskMeter,
    ranMs: number,
    traffic: () => { in: number; out: number },
    gpuUse?: () => Promise<number | undefined>,
  ) {
    this.#gpuUse = gpuUse
    this.#engine = engine
    this.#container = container
    this.#disk = disk
    this.#startedAt = performance.now() - ranMs
    this.#traffic = traffic
  }

  /** From now on samples repeat the last one, with nothing in use. */
  end(): void {
    this.#endedAt = performance.now()
  }

  /** @throws RUNTIME_UNAVAILABLE when the engine is asked and does not answer */
  async sample(): Promise<Usage> {
    if (this.#endedAt !== undefined) return this.#afterEnd(this.#endedAt)
    const reading = await this.#read()
    if (this.#endedAt !== undefined) return this.#afterEnd(this.#endedAt)
    // Of the same moment as the reading: rates are made of the two.
    const elapsedMs = performance.now() - this.#startedAt
    const [disk, gpu] = await Promise.all([this.#disk.recent(), this.#gpuUse?.()])
    if (reading === undefined) return { ...this.#last, elapsedMs, cpu: 0, memory: 0, pids: 0, disk }
    this.#last = {
      elapsedMs,
      cpu: this.#rate(elapsedMs, reading.cpuMs),
      cpuMs: Math.max(this.#last.cpuMs, reading.cpuMs),
      memory: reading.memoryBytes,
      memoryPeak: Math.max(this.#last.memoryPeak, reading.memoryPeakBytes),
      pids: reading.pids,
      disk,
      ...this.#net(),
      ...(gpu === undefined ? {} : { gpu }),
    }
    return this.#last
  }

  async #afterEnd(endedAt: number): Promise<Usage> {
    return {
      ...this.#last,
      ...this.#net(),
      ...(this.#last.gpu === undefined ? {} : { gpu: 0 }),
      elapsedMs: endedAt - this.#startedAt,
      cpu: 0,
      memory: 0,
      pids: 0,
      disk: await this.#disk.recent(),
    }
  }

  /** Undefined when the container has ended, which its watcher will tell. */
  async #read(): Promise<CgroupReading | undefined> {
    if (this.#engine.local) {
      this.#cgroup ??= findCgroup(this.#container.id)
      const cgroup = await this.#cgroup
      if (cgroup !== undefined) {
        const reading = await cgroup.read().catch(() => undefined)
        return reading
      }
    }
    try {
      return await readEngineStats(this.#engine, this.#container)
    } catch (error) {
      if ([404, 409].includes(engineStatus(error) ?? 0)) return undefined
      throw engineError(error, `usage of container ${this.#container.id.slice(0, 12)}`)
    }
  }

  #net(): { netIn: number; netOut: number } {
    const { in: netIn, out: netOut } = this.#traffic()
    return { netIn, netOut }
  }

  #rate(atMs: number, cpuMs: number): number {
    const from = this.#rateFrom ?? { atMs: 0, cpuMs: 0 }
    if (this.#rateFrom !== undefined && atMs - from.atMs < RATE_WINDOW_MS) return this.#last.cpu
    this.#rateFrom = { atMs, cpuMs }
    return atMs > from.atMs ? Math.max(0, (cpuMs - from.cpuMs) / (atMs - from.atMs)) : 0
  }
}
