import type {
  ByteSize,
  Clock,
  Duration,
  GcOptions,
  GcReport,
  ImageSource,
  JobSpec,
  Logger,
  Membership,
  Network,
  NetworkOptions,
  Offer,
  TaskResult,
  TransferCaps,
} from '@manyhands/core'
import type { HostState } from './host-state.ts'
import type { Job, JobSummary } from './job.ts'
import type { JobResumption } from './job-document.ts'

/**
 * A borrower of computers: finds hosts, submits jobs, follows them. No server is involved; the client
 * itself keeps the journal of its jobs.
 *
 * @example
 * await using client = await createClient({ network: { bootstrap: host.addresses } })
 * for await (const result of client.map([1, 2, 3], { runtime: 'wasm', image: './square.wasm', args: ['{{item}}'] }))
 *   console.log(result.stdoutTail)
 */
export interface Client extends AsyncDisposable {
  readonly peerId: string
  /** Offers of hosts known now. */
  hosts(): Offer[]
  /** The same hosts, and how this client is connected to each. */
  hostStates(): HostState[]
  /** The offers known, then every change, until the signal. */
  watchHosts(options?: { signal?: AbortSignal }): AsyncIterable<HostChange>
  /**
   * Resolves with the matching offers when there are at least `min` (default 1).
   *
   * @throws NO_HOSTS after `timeout` (default 30 s), saying what was seen
   */
  waitForHosts(options?: {
    min?: number
    where?: (offer: Offer) => boolean
    timeout?: Duration
    signal?: AbortSignal
  }): Promise<Offer[]>
  /**
   * Takes a job on. Resolves when it is durable (with `state` set): its spec, and the tasks of an array or
   * of a range with a `task` function; ranges without one are data themselves, and generators are read as
   * there is work for them. With `state` set the job outlives the client, see {@link job}; else it ends
   * when the client closes.
   *
   * @throws SPEC_INVALID, RANGE_INVALID, INPUT_UNREADABLE, PATH_UNSAFE, IMAGE_INVALID, JOB_CONFLICT;
   *   ROLE_DENIED, NOT_A_MEMBER in a private network that this computer may not borrow in
   */
  submit<Item>(spec: JobSpec<Item>, options?: { signal?: AbortSignal }): Promise<Job<Item>>
  /**
   * Runs a job to its end. An abort of the signal cancels it.
   *
   * @throws JobFailedError: JOB_FAILED when a task failed, NO_HOSTS when no host ever fits; CANCELED
   */
  run<Item>(spec: JobSpec<Item>, options?: { signal?: AbortSignal }): Promise<JobSummary>
  /** Runs one task per item and yields the results in input order; a failed task is a result, not a throw. */
  map<Item>(
    items: Iterable<Item> | AsyncIterable<Item>,
    spec: Omit<JobSpec<Item>, 'tasks'>,
    options?: { signal?: AbortSignal },
  ): AsyncIterable<TaskResult<Item>>
  /**
   * A job of this client by id, also one that an earlier process submitted: its hosts are asked, results
   * made meanwhile are fetched, and it goes on.
   *
   * @param given - parts of its spec that are no data, which no journal can keep: its functions, secrets,
   *   and a source that was not read to its end, which is read again from its first item and passed over as
   *   far as it was read. Without them `wait`, `results` and `resume` say HOOKS_MISSING.
   * @throws NOT_FOUND
   */
  job<Item = unknown>(id: string, given?: JobResumption<Item>): Promise<Job<Item>>
  /**
   * Continues a job of another client, on whatever machine that was: its hosts are told, work that they have
   * of it is taken over with its results, and the rest goes on from here. The client before is told, and its
   * part of the job ends with JOB_TAKEN. What was accepted before the key was taken stays accepted; the
   * outputs of that are read here as far as hosts still have them. The same key again takes up the same job.
   *
   * @param ownerKey - what {@link Job.ownerKey} gave
   * @param given - as for {@link job}; inputs that neither this computer nor a host has are named by
   *   HOOKS_MISSING, and given by their paths as `inputs`
   * @throws SPEC_INVALID for what is no key, NO_HOSTS when no host of the job is to be reached, HOST_REFUSED
   *   when all of them refuse this client, JOB_TAKEN when somebody was quicker, JOB_CONFLICT where the job was
   *   taken from this very client
   */
  attach<Item = unknown>(ownerKey: string, given?: JobResumption<Item>): Promise<Job<Item>>
  /** Jobs of this client, newest first. */
  jobs(): JobSummary[]
  /**
   * Lets go of a job that is over, its results with it: what is in the journal and in the store.
   *
   * @throws NOT_FOUND, SPEC_INVALID while it is not over
   */
  forget(id: string): Promise<void>
  /**
   * Tidies up now: artifacts that no job needs, and what cut transfers left and rested for a day; with
   * `keepBytes` also what is kept for later jobs. Results never go: they are held by their job.
   */
  gc(options?: GcOptions): Promise<GcReport>
  close(): Promise<void>
}

export type HostChange =
  | { kind: 'found' | 'changed'; offer: Offer }
  | { kind: 'gone'; peerId: string }

export interface ClientOptions {
  network?: {
    /** Peers to connect to. At least one must answer when any is named. */
    bootstrap?: string[]
    /** Default: none; a client only dials. */
    listen?: string[]
    mdns?: boolean
    /** Further ways to connect, such as `webrtc()` of `@manyhands/webrtc`. Default none. */
    transports?: NetworkOptions['transports']
    /**
     * Whether to take part in the gossip of offers. Default false: peers are asked which hosts they know,
     * and for what is new, which is as quick and costs only while the client is there.
     */
    gossip?: boolean
    /**
     * `mh1…`: joins a private network at the first start, and borrows of its members alone. With `state`
     * later starts are of the same member, with the invite or without it.
     */
    invite?: string
    /** A membership of this computer, in the place of an invite; see `joinPrivateNetwork`. */
    membership?: Membership
  }
  /** Directory of identity, journal and results; omitted: a temporary one, removed on close. */
  state?: string
  lease?: {
    /** Heartbeat of leases; default 5 s. A host is suspect after 3, lost after 6. */
    heartbeat?: Duration
  }
  /**
   * Bytes per second of inputs and images that leave, and of outputs that come: of all peers together, and
   * of each. At least 64 KiB/s; what is left out is not limited.
   */
  transfer?: TransferCaps
  /**
   * Engines of this computer whose images jobs may name, such as `dockerImages()`. Default: the Docker
   * engine that is found in the usual places, when `@manyhands/docker-runtime` is installed. With `[]`
   * names of images mean what the hosts have.
   */
  images?: ImageSource[]
  /**
   * How much of exported layers is kept in the state directory, so that no image is exported twice;
   * default 20 GiB. What running jobs need stays in any case.
   */
  imageCache?: ByteSize
  /**
   * What may stay on the disk for later jobs while none needs it; default 10 GiB. Above this the least
   * recently used go until four fifths are left. Results and inputs by path are no part of it.
   */
  keep?: ByteSize
  /** Attempts sent out at once over all jobs; default 4096. */
  maxInFlight?: number
  logger?: Logger
  /** Time as this client sees it; default: that of this computer. */
  clock?: Clock
  /**
   * Joins the network, with what `network` says and this client's key. Default: `createNetwork`. What it
   * gives is closed with the client.
   */
  transport?: (options: NetworkOptions) => Promise<Network>
  /**
   * Numbers of 0 to 1, for ids and for pauses that are not to be the same everywhere; a temporary
   * identity is drawn from it as well. For simulations that are to be repeated: who can foretell it has
   * this client's key. Default: the randomness of this computer.
   */
  random?: () => number
}
