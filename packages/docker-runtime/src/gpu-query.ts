import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { GpuDevice } from '@manyhands/core'
import { type EngineInfo, engineKind } from './engine-info.ts'
import type { IsolationLevel } from './isolation.ts'

/** A GPU as its driver tells it now. */
export interface GpuReading extends GpuDevice {
  /** Share of its time in use, 0…1; undefined where the driver does not tell. */
  utilization?: number
}

/** Asks a driver for its GPUs. Rejects, or answers none, where there is no driver. */
export type GpuQuery = () => Promise<GpuReading[]>

const FIELDS = 'uuid,name,memory.total,utilization.gpu'
const QUERY_TIMEOUT_MS = 10_000
const MIB = 1024 ** 2

/** Asks NVIDIA's driver by its own program. */
export const nvidiaSmi: GpuQuery = async () => {
  const args = [`--query-gpu=${FIELDS}`, '--format=csv,noheader,nounits']
  const { stdout } = await promisify(execFile)('nvidia-smi', args, { timeout: QUERY_TIMEOUT_MS })
  return parseNvidiaSmi(stdout)
}

/** Lines that make no GPU are left out: a driver in trouble writes words where numbers belong. */
export function parseNvidiaSmi(csv: string): GpuReading[] {
  return csv.split('\n').flatMap((line) => {
    const parts = line.split(',').map((part) => part.trim())
    const [id = '', model = '', memory, utilization] = parts
    const memoryBytes = Number(memory) * MIB
    if (parts.length !== 4 || !/^(GPU|MIG)-[\w/.-]+$/.test(id) || !(memoryBytes > 0)) return []
    const share = Number(utilization) / 100
    return [{ id, model, memoryBytes, ...(share >= 0 && share <= 1 ? { utilization: share } : {}) }]
  })
}

/** How an engine gives single GPUs to containers; undefined when it cannot. */
export type GpuDriver = 'nvidia' | 'cdi'

export function gpuDriver(info: EngineInfo, level: IsolationLevel): GpuDriver | undefined {
  // Neither Podman's socket nor another kernel passes on what is asked for; both do so silently.
  if (engineKind(info) === 'podman' || !['runc', 'userns', 'rootless'].includes(level)) {
    return undefined
  }
  if (Object.hasOwn(info.Runtimes ?? {}, 'nvidia')) return 'nvidia'
  return (info.CDISpecDirs ?? []).length > 0 ? 'cdi' : undefined
}

/** One driver, asked at most once in a while however many want to know. */
export class Gpus {
  readonly #query: GpuQuery
  readonly #maxAgeMs: number
  #asked: { atMs: number; readings: Promise<GpuReading[]> } | undefined

  constructor(query: GpuQuery, maxAgeMs = 1000) {
    this.#query = query
    this.#maxAgeMs = maxAgeMs
  }

  /** None where no driver answers. */
  readings(): Promise<GpuReading[]> {
    const nowMs = performance.now()
    if (this.#asked === undefined || nowMs - this.#asked.atMs >= this.#maxAgeMs) {
      this.#asked = { atMs: nowMs, readings: this.#query().catch(() => []) }
    }
    return this.#asked.readings
  }

  async devices(): Promise<GpuDevice[]> {
    return (await this.readings()).map(({ id, model, memoryBytes }) => ({ id, model, memoryBytes }))
  }

  /** Mean use of some GPUs, 0…1; undefined unless the driver tells of each. */
  async use(ids: string[]): Promise<number | undefined> {
    if (ids.length === 0) return undefined
    const all = new Map((await this.readings()).map((found) => [found.id, found.utilization]))
    const shares = ids.map((id) => all.get(id) ?? Number.NaN)
    const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length
    return Number.isNaN(mean) ? undefined : mean
  }
}
