import { type ByteSize, parseByteSize } from './byte-size.ts'
import type { GpuNeed, GpuRequest } from './gpu.ts'

/** What a task asks for. Missing fields take {@link DEFAULT_RESOURCES}. */
export interface ResourceRequest {
  /** Cores, may be a fraction. */
  cpus?: number
  /** Memory; swap is never added. */
  memory?: ByteSize
  /** Bytes below /out and in the sandbox's own writable places. */
  disk?: ByteSize
  /** How many GPUs; or which kind. */
  gpus?: number | GpuRequest
  /** Processes and threads. */
  pids?: number
}

/** Resources as numbers: bytes, cores, counts. What the ledger adds up and the wire carries. */
export interface Resources {
  cpus: number
  memoryBytes: number
  diskBytes: number
  gpus: number
  pids: number
}

export const DEFAULT_RESOURCES: Resources = {
  cpus: 1,
  memoryBytes: 512 * 1024 ** 2,
  diskBytes: 1024 ** 3,
  gpus: 0,
  pids: 256,
}

/** Fills in defaults and turns sizes into bytes. @throws SPEC_INVALID naming the field */
export function resolveResources(
  request: ResourceRequest = {},
  defaults = DEFAULT_RESOURCES,
): Resources {
  return {
    cpus: request.cpus ?? defaults.cpus,
    memoryBytes:
      request.memory === undefined
        ? defaults.memoryBytes
        : parseByteSize(request.memory, 'resources.memory'),
    diskBytes:
      request.disk === undefined
        ? defaults.diskBytes
        : parseByteSize(request.disk, 'resources.disk'),
    gpus: typeof request.gpus === 'object' ? request.gpus.count : (request.gpus ?? defaults.gpus),
    pids: request.pids ?? defaults.pids,
  }
}

/** What each GPU of a request has to be; undefined when any will do. @throws SPEC_INVALID */
export function resolveGpuNeed(request: ResourceRequest = {}): GpuNeed | undefined {
  if (typeof request.gpus !== 'object') return undefined
  const { model, memory } = request.gpus
  if (model === undefined && memory === undefined) return undefined
  return {
    ...(model === undefined ? {} : { model }),
    ...(memory === undefined
      ? {}
      : { memoryBytes: parseByteSize(memory, 'resources.gpus.memory') }),
  }
}

const KEYS = ['cpus', 'memoryBytes', 'diskBytes', 'gpus', 'pids'] as const

/** The first resource of which `free` has less than `wanted`, or undefined when all of it fits. */
export function firstShortage(wanted: Resources, free: Resources): keyof Resources | undefined {
  // Fractions of cores add up with rounding errors; a thousandth of a core is nobody's.
  return KEYS.find((key) => wanted[key] > free[key] + (key === 'cpus' ? 0.001 : 0))
}

export function timesResources(each: Resources, count: number): Resources {
  return {
    cpus: each.cpus * count,
    memoryBytes: each.memoryBytes * count,
    diskBytes: each.diskBytes * count,
    gpus: each.gpus * count,
    pids: each.pids * count,
  }
}

export function addResources(a: Resources, b: Resources, sign: 1 | -1 = 1): Resources {
  return {
    cpus: Math.round((a.cpus + sign * b.cpus) * 1000) / 1000,
    memoryBytes: a.memoryBytes + sign * b.memoryBytes,
    diskBytes: a.diskBytes + sign * b.diskBytes,
    gpus: a.gpus + sign * b.gpus,
    pids: a.pids + sign * b.pids,
  }
}
