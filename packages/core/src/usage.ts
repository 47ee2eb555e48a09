/** What an attempt uses, sampled once a second by the host. Counters only grow; gauges are of now. */
export interface Usage {
  /** Milliseconds since the attempt's sandbox started. */
  elapsedMs: number
  /** Cores in use over the last second. */
  cpu: number
  /** Core-milliseconds used in all. */
  cpuMs: number
  /** Bytes now, and the most there were. */
  memory: number
  memoryPeak: number
  /** Processes and threads now. */
  pids: number
  /** Bytes below /out and in the sandbox's own writable places. */
  disk: number
  /** Network bytes since the start. */
  netIn: number
  netOut: number
  /** Share of the attempt's GPUs in use, 0…1; undefined where no driver answers. */
  gpu?: number
}

export const NO_USAGE: Usage = {
  elapsedMs: 0,
  cpu: 0,
  cpuMs: 0,
  memory: 0,
  memoryPeak: 0,
  pids: 0,
  disk: 0,
  netIn: 0,
  netOut: 0,
}
