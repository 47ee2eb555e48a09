import type {
  AttemptPhase,
  Ban,
  ByteSize,
  Duration,
  GcOptions,
  GcReport,
  Logger,
  MannersCounts,
  Membership,
  NetworkOptions,
  NetworkStatus,
  Offer,
  PeerConnection,
  Resources,
  Runtime,
  TransferProgress,
  TransferSource,
  Usage,
} from '@manyhands/core'
import type { AdmissionRequest, RuleVerdict } from './admission-request.ts'
import type {
  HostPolicy,
  PolicyOptions,
  ScheduleOptions,
  ShareOptions,
  TransferOptions,
} from './policy.ts'
import type { HostSensors } from './sensors.ts'
import type { UsageSample, UsageTotals } from './usage-totals.ts'

/**
 * This computer, lent. The owner stays sovereign: every attempt can be seen, paused and killed at any
 * moment, with the client gone or the network down.
 *
 * Events: `'attempt'`, `CustomEvent<HostAttempt>`, at every change of an attempt's phase;
 * `'transfer'`, `CustomEvent<HostTransfer>`, once a second for every peer that inputs or images come
 * from, and at the end; `'drained'`, `CustomEvent<DrainReport>`.
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
   * The last samples of one attempt, oldest first, at most 600: ten minutes at one a second. Kept until
   * the attempt is forgotten.
   *
   * @throws NOT_FOUND
   */
  history(id: string): UsageSample[]
  /** What clients and jobs have used of this host, with what they use now. Survives restarts. */
  totals(): UsageTotals
  /**
   * Ends an attempt now, whatever its phase. The client sees `evicted` with the reason; no retry of
   * the task is used. The word holds as soon as this was called, also when this process dies on the way;
   * resolves when nothing of it runs any more.
   *
   * @throws NOT_FOUND
   */
  kill(id: string, reason?: string): Promise<void>
  /**
   * Freezes a running attempt. Its run time stands still; the client sees `paused` with the reason.
   *
   * @throws NOT_FOUND; UNSUPPORTED by the runtime, in its phase, or when it is paused already
   */
  pause(id: string, reason?: string): Promise<void>
  /**
   * Thaws an attempt that was paused by {@link pause}. One that the schedule paused goes on by itself.
   *
   * @throws NOT_FOUND, UNSUPPORTED
   */
  resume(id: string): Promise<void>
  /**
   * Changes limits of an attempt that runs or is paused.
   *
   * @throws NOT_FOUND; USAGE for what is no amount, or less memory than is in use; HOST_BUSY for more
   *   than is free in the share; UNSUPPORTED; or what the engine says. Then nothing has changed.
   */
  limit(id: string, change: { cpus?: number; memory?: ByteSize; pids?: number }): Promise<void>
  /** Every admission rule's verdict on a request, without reserving anything. */
  explain(request: AdmissionRequest): Promise<RuleVerdict[]>
  /** What is in force now: share, policy, schedule, transfer. */
  readonly policy: HostPolicy
  /**
   * Changes the rules of a running host. A section that is given replaces the one in force as a whole; a
   * section that is left out stays. What runs and is no longer allowed is evicted with the rule as the
   * reason, newest first where the sum is too large; the offer is announced anew. Resolves when that is
   * done.
   *
   * @throws CONFIG_INVALID naming the setting, also for GPUs that no driver knows; then nothing has changed
   */
  setPolicy(change: HostPolicy): Promise<void>
  /**
   * Tidies up now: artifacts that no attempt and no result needs, what cut transfers left and rested for a
   * day; with `keepBytes` also inputs that are kept for later jobs, and what the runtimes keep. What
   * attempts need and results that wait for their clients never go. It happens by itself as well, see
   * {@link ShareOptions.keep}.
   */
  gc(options?: GcOptions): Promise<GcReport>
  /**
   * Refuses new work at once, lets what runs finish, evicts the rest at the deadline; `'never'` lets all
   * of it finish. Resolves when nothing runs. The host stays up to hand over results; close it after. A
   * later call with a nearer deadline shortens the wait.
   */
  drain(options?: { deadline?: Duration | 'never'; reason?: string }): Promise<DrainReport>
  /**
   * Refuses a client from now on, also after a restart, and evicts its attempts. It is told so if it
   * listens, for at most 1 s, and then cut off.
   *
   * @throws ADDRESS_INVALID for what is no peer id, LIMIT
   */
  block(peerId: string): Promise<void>
  /** Takes a {@link block} back. Unknown ids are ignored. */
  unblock(peerId: string): Promise<void>
  /** The connections to other peers now, and how each of them runs. */
  connections(): PeerConnection[]
  /** Numbers about this host's part in its network. */
  networkStatus(): NetworkStatus
  /** Peers and addresses that are refused for a while, and what was done against good manners. */
  bans(): Ban[]
  offences(): MannersCounts
  /** Peer ids that are blocked. */
  readonly blocked: string[]
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
  /** As this host's engine calls it, or its digest. */
  image: string
  /** What the client calls its own image. It proves nothing. */
  imageName?: string
  phase: AttemptPhase
  /** Milliseconds since it was accepted. */
  sinceMs: number
  /** Wall-clock time of acceptance, ISO 8601, for people. */
  since: string
  usage: Usage
  limits: Resources
  /** Ids of the GPUs that it has. */
  gpuIds: string[]
  /** Why it ended or is paused, when that was decided from outside the task. */
  reason?: string
  /**
   * What it waits for while it is staged; attempts that wait for the same have the same numbers. After its
   * end: how far its client is with fetching its outputs.
   */
  transfer?: TransferProgress
}

/** What comes from one peer, over what, and how fast. */
export interface HostTransfer extends TransferSource {
  /** Name of the artifact. */
  root: string
}

export interface DrainReport {
  completed: number
  evicted: number
}

export interface HostOptions {
  runtimes: Runtime[]
  share?: ShareOptions
  policy?: PolicyOptions
  schedule?: ScheduleOptions
  transfer?: TransferOptions
  /** What the schedule looks at; default: this computer, as far as its system tells. */
  sensors?: HostSensors
  network?: {
    /** Default: all interfaces, tcp and websockets, free ports. */
    listen?: string[]
    bootstrap?: string[]
    mdns?: boolean
    gossip?: boolean
    /**
     * `mh1…`: joins a private network at the first start, and lends to its members alone. With `state` later
     * starts are of the same member, with the invite or without it.
     */
    invite?: string
    /** A membership of this computer, in the place of an invite; see `joinPrivateNetwork`. */
    membership?: Membership
    /** Asks the router for the ports that this host listens on; see `NetworkOptions.upnp`. Default false. */
    upnp?: NetworkOptions['upnp']
    /** Whether peers that cannot be reached otherwise may be reached over this host. Default false. */
    relay?: NetworkOptions['relay']
    /** Relays over which this host is reached when it cannot be directly; see `NetworkOptions.relays`. */
    relays?: string[]
    /** Further ways to connect, such as `webrtc()` of `@manyhands/webrtc`. Default none. */
    transports?: NetworkOptions['transports']
    /** For browsers elsewhere: what `/ip4/0.0.0.0/tcp/443/tls/ws` is served with; see `NetworkOptions.tls`. */
    tls?: NetworkOptions['tls']
  }
  /** Directory of identity, journal and artifacts; omitted: a temporary one, removed on close. */
  state?: string
  /** For filters of clients. */
  labels?: Record<string, string>
  /** How long attempts go on without their client; default 10 min. */
  orphanTime?: Duration
  /** How long undelivered results are held; default 24 h. */
  holdResults?: Duration
  /**
   * How long, after a start, an engine that does not answer is waited for before what it ran is given
   * up as this host's fault; default 2 min.
   */
  engineLost?: Duration
  logger?: Logger
}
