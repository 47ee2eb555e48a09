import type {
  AttemptPhase,
  ByteSize,
  Duration,
  Logger,
  Offer,
  Resources,
  Runtime,
  Usage,
} from '@manyhands/core'

/**
 * This computer, lent. The owner stays sovereign: every attempt can be seen, paused and killed at any
 * moment, with the client gone or the network down.
 *
 * Events: `'attempt'`, `CustomEvent<HostAttempt>`, at every change of an attempt's phase;
 * `'drained'`, `CustomEvent<DrainReport>`.
 *
 * @example
 * await using host = await createHost({ runtimes: [docker(), wasm()], share: { cpus: 6 } })
 * console.log(host.addresses)
 */
export interface Host extends EventTarget, AsyncDisposable {
  readonly peerId: string
  /** Identity of the state directory; a restarted host is the same host. */
  readonly instance: string
  /** Addresses to give to clients, with `/p2p/PEER`. */
  readonly addresses: string[]
  /** What is advertised now. */
  readonly offer: Offer
  /** Attempts that are not over, and those whose end the client has not acknowledged. */
  attempts(): HostAttempt[]
  /**
   * Usage of running attempts, sampled once a second. Ends with the host or the signal. A reader that
   * is late misses samples.
   */
  usage(options?: { attempt?: string; signal?: AbortSignal }): AsyncIterable<UsageSample>
  /**
   * Ends an attempt now, whatever its phase. The client sees `evicted` with the reason; no retry of
   * the task is used. Resolves when nothing of it runs any more.
   *
   * @throws NOT_FOUND
   */
  kill(id: string, reason?: string): Promise<void>
  /** Freezes a running attempt. @throws NOT_FOUND, UNSUPPORTED by the runtime, or the phase */
  pause(id: string): Promise<void>
  resume(id: string): Promise<void>
  /** Changes limits of a running attempt. @throws NOT_FOUND, UNSUPPORTED */
  limit(id: string, change: { cpus?: number; memory?: ByteSize; pids?: number }): Promise<void>
  /** Every admission rule's verdict on a request, without reserving anything. */
  explain(request: AdmissionRequest): Promise<RuleVerdict[]>
  /**
   * Refuses new work at once, lets what runs finish, evicts the rest at the deadline.
   * Resolves when nothing runs. The host stays up to hand over results; close it after.
   */
  drain(options?: { deadline?: Duration; reason?: string }): Promise<DrainReport>
  /** Refuses a client from now on, and evicts its attempts. */
  block(peerId: string): Promise<void>
  /** Kills what runs, releases everything. For a polite end call {@link drain} first. */
  close(): Promise<void>
}

/** An attempt as its host sees it. */
export interface HostAttempt {
  id: string
  client: string
  job: string
  jobName: string
  task: string
  runtime: string
  image: string
  phase: AttemptPhase
  /** Milliseconds since it was accepted. */
  sinceMs: number
  /** Wall-clock time of acceptance, ISO 8601, for people. */
  since: string
  usage: Usage
  limits: Resources
  /** Why it ended or is paused, when that was decided from outside the task. */
  reason?: string
}

export interface UsageSample extends Usage {
  attempt: string
  client: string
  job: string
}

/** What a client asks for, as rules see it. */
export interface AdmissionRequest {
  /** Peer id of the client. */
  client: string
  runtime: string
  image: string
  resources: Resources
  /** Milliseconds; 0: the host's own maximum. */
  timeoutMs: number
  networkProfile: 'none' | { egress: string[] }
}

export interface RuleVerdict {
  rule: string
  allowed: boolean
  /** In words, for the owner and the client. */
  detail: string
  /** Whether the same request may be allowed later without a change of policy. */
  temporary: boolean
}

export interface DrainReport {
  completed: number
  evicted: number
}

/** What the owner lends at most, summed over all attempts. Omitted: all cores but one, half the memory. */
export interface ShareOptions {
  cpus?: number
  memory?: ByteSize
  disk?: ByteSize
  /** How many, or all that a driver answers for; default 0. */
  gpus?: number | 'all'
  pids?: number
}

export interface PolicyOptions {
  /** Peer ids of clients that may use this host; omitted: anyone who can connect. */
  clients?: string[]
  /** Images that may run: exact names, digests, or patterns with `*`. Omitted: any. */
  images?: string[]
  /** `'none'` is always allowed; `'egress'` only when listed. */
  networkProfiles?: ('none' | 'egress')[]
  /** Longest run of one attempt; default 24 h. */
  maxRuntime?: Duration
  /** Attempts at once; default 1024. */
  maxAttempts?: number
  /** The owner's own word. Throwing or exceeding 5 s counts as no. */
  admit?: (request: AdmissionRequest) => boolean | Promise<boolean>
}

export interface HostOptions {
  runtimes: Runtime[]
  share?: ShareOptions
  policy?: PolicyOptions
  network?: {
    /** Default: all interfaces, tcp and websockets, free ports. */
    listen?: string[]
    bootstrap?: string[]
    mdns?: boolean
    gossip?: boolean
  }
  /** Directory of identity, journal and artifacts; omitted: a temporary one, removed on close. */
  state?: string
  /** For filters of clients. */
  labels?: Record<string, string>
  /** How long attempts go on without their client; default 10 min. */
  orphanTime?: Duration
  /** How long undelivered results are held; default 24 h. */
  holdResults?: Duration
  logger?: Logger
}
