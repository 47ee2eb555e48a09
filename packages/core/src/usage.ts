/** What an attempt uses, sampled once a second by the host. Counters only grow; gauges are of now. */
export interface Usage {
  /** Milliseconds since the attempt's sandbox started. */
  elapsedMs: number
  /** Cores in use over the last second. */
  cpu: number
  /** Core-milliseconds used in all. */
  cpuMs: number
  /** Bytes now, and the most there were. */
  memoryBytes: number
  memoryPeakBytes: number
  /** Processes and threads now. */
  pids: number
  /** Bytes below /out and in the sandbox's own writable places. */
  diskBytes: number
  /** Network bytes since the start. */
  netInBytes: number
  netOutBytes: number
  /** Share of the attempt's GPUs in use, 0…1; undefined where no driver answers. */
  gpu?: number
}

export const NO_USAGE: Usage = {
  elapsedMs: 0,
  cpu: 0,
  cpuMs: 0,
  memoryBytes: 0,
  memoryPeakBytes: 0,
  pids: 0,
  diskBytes: 0,
  netInBytes: 0,
  netOutBytes: 0,
}
