import type { ByteSize, Duration, TransferCaps } from '@manyhands/core'
import type { AdmissionRequest } from './admission-request.ts'
import type { UsageSample } from './usage-totals.ts'

/**
 * Everything an owner decides, as one readable document: `createHost()` takes its sections, a policy
 * file holds them as JSON, `host.setPolicy()` changes them while the host runs.
 *
 * @example
 * {
 *   "share": { "cpus": 6, "memory": "12GiB" },
 *   "policy": { "images": ["blender:*"], "quotas": { "perClient": { "attempts": 4, "cpuHoursPerDay": 20 } } },
 *   "schedule": { "hours": "Mon-Fri 19:00-07:00", "notOnBattery": true, "pauseWhile": ["steam"] },
 *   "transfer": { "upload": "5MiB/s", "daily": { "upload": "20GiB" } }
 * }
 */
export interface HostPolicy {
  share?: ShareOptions
  policy?: PolicyOptions
  schedule?: ScheduleOptions
  transfer?: TransferOptions
}

/** What the owner lends at most, summed over all attempts. Omitted: all cores but one, half the memory. */
export interface ShareOptions {
  cpus?: number
  memory?: ByteSize
  disk?: ByteSize
  /**
   * Inputs that may stay on the disk for later jobs while nobody uses them, beside `disk`; default: half of
   * it. Above this the least recently used go until four fifths are left.
   */
  keep?: ByteSize
  /** How many GPUs, which ones by id, or all that a driver answers for; default 0. */
  gpus?: number | string[] | 'all'
  pids?: number
}

/** Who may use this host, for what, and how much of it. */
export interface PolicyOptions {
  /** Peer ids of clients that may use this host; omitted: anyone who can connect. */
  clients?: string[]
  /**
   * Images that may run: exact names, digests, or patterns with `*`. Omitted: any. Names are those that
   * this host's own engine has; an image that a client brings is only its digest, `sha256:…`, or `*`.
   */
  images?: string[]
  /**
   * How much of the disk images take that clients bring; those that were not used for longest are
   * removed first. A larger image is refused. Default two fifths of `share.disk`.
   */
  imageCache?: ByteSize
  /** `'none'` is always allowed; `'egress'` only when listed. */
  networkProfiles?: ('none' | 'egress')[]
  /** Longest run of one attempt; default 24 h. Time in which it is paused does not count. */
  maxRuntime?: Duration
  /** Attempts at once; default 1024. */
  maxAttempts?: number
  quotas?: {
    /** For every client that has no quota of its own below. */
    perClient?: ClientQuota
    /** By peer id. */
    clients?: Record<string, ClientQuota>
  }
  /** The owner's own word. Throwing or exceeding 5 s counts as no. */
  admit?: (request: AdmissionRequest) => boolean | Promise<boolean>
  /**
   * Looks at every sample of every attempt, once a second, and may say what is to be done. Throwing or
   * anything else that is returned means nothing is done. Must not block.
   */
  onUsage?: (sample: UsageSample) => UsageVerdict | void
}

/** How much one client may take. What is left out is not limited. Days are the last 24 hours. */
export interface ClientQuota {
  /** Attempts at once. */
  attempts?: number
  /** Core-hours used in the last 24 hours; what runs when they are used up is evicted. */
  cpuHoursPerDay?: number
  /** Disk of its running attempts and of its results that wait. */
  disk?: ByteSize
  /** Bytes of inputs and outputs in the last 24 hours. */
  transferPerDay?: ByteSize
}

export interface UsageVerdict {
  action: 'pause' | 'kill'
  /** What the client is told. */
  reason: string
}

/** When the computer is lent. Rules are checked every second; what they do not allow is paused. */
export interface ScheduleOptions {
  /**
   * Local time: `'19:00-07:00'`, `'Mon-Fri 19:00-07:00, Sat,Sun 00:00-24:00'`. A range that ends before it
   * begins goes on into the next day. Omitted: always.
   */
  hours?: string
  /** Only after nobody has used keyboard, mouse or terminal for so long. */
  onlyWhenIdle?: Duration
  /** Not while the computer runs on its battery. */
  notOnBattery?: boolean
  /** Not while a program of one of these names runs outside of our sandboxes. */
  pauseWhile?: string[]
  /** How long a paused attempt is held before it is evicted so that its task moves on; default 10 min. */
  evictAfter?: Duration
}

/**
 * How much of this computer's connection its work may use: inputs, images and outputs, of all peers
 * together. A rate is at least 64 KiB/s; requests and events are small and do not count.
 */
export interface TransferOptions extends TransferCaps {
  /**
   * Bytes in any 24 hours, also over restarts. When a download is used up, only work is taken whose
   * inputs are here already; when an upload is, none, for its results could not leave.
   */
  daily?: { upload?: ByteSize; download?: ByteSize }
  /** Whether other hosts may get parts of inputs here that their client sent to this one too; default true. */
  giveToHosts?: boolean
}
