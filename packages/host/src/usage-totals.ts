import type { TransferTotals, Usage } from '@manyhands/core'

/** One sample of one attempt. */
export interface UsageSample extends Usage {
  attempt: string
  client: string
  job: string
}

/** What clients and jobs have used of this host. */
export interface UsageTotals {
  /** Since when totals are counted, ISO 8601. */
  since: string
  /** At most 1024 of each kind, the most recently active ones. */
  clients: ClientTotal[]
  jobs: JobTotal[]
  /** Content that this host sent and received, also to and from other hosts, and how the quota stands. */
  transfer: TransferTotals
}

export interface ClientTotal {
  client: string
  /** Attempts that are not over. */
  live: number
  /** Attempts that are over, by how they ended. */
  ended: { completed: number; failed: number; canceled: number; lost: number; evicted: number }
  /** Cores and bytes of memory in use now. */
  cpu: number
  memory: number
  /** Core-milliseconds, and milliseconds in sandboxes, in all. */
  cpuMs: number
  runMs: number
  /** Bytes of inputs received from it and of outputs sent to it. */
  bytesIn: number
  bytesOut: number
}

export interface JobTotal extends ClientTotal {
  job: string
  jobName: string
}
