import type {
  AttemptPhase,
  AttemptTimeline,
  ByteSize,
  Clock,
  Duration,
  ErrorDocument,
  GcOptions,
  GcReport,
  ImageSource,
  JobPhase,
  JobSpec,
  Logger,
  Network,
  NetworkOptions,
  Offer,
  TaskPhase,
  TaskResult,
  TransferCaps,
  TransferSource,
  Usage,
} from '@manyhands/core'

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
   * @throws SPEC_INVALID, RANGE_INVALID, INPUT_UNREADABLE, PATH_UNSAFE, IMAGE_INVALID, JOB_CONFLICT
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

/** A handle to a job. Dropping it changes nothing. */
export interface Job<Item = unknown> {
  readonly id: string
  readonly name: string
  readonly phase: JobPhase
  readonly counts: JobCounts
  readonly progress: JobProgress
  /** What `wait` resolves with, as it is now. */
  readonly summary: JobSummary
  /** Results in completion order, or in input order; each once; ends when the job ends. */
  results(options?: { ordered?: boolean; signal?: AbortSignal }): AsyncIterable<TaskResult<Item>>
  /**
   * What happened, from `since` (an event's `seq`) on. A reader that is too late gets a `gap` event. Who
   * follows the job while it runs also gets `progress`, at most four times a second. Of an attempt's phase
   * and usage a host tells only the latest to a client that is slow; nothing marks that.
   */
  events(options?: { since?: number; signal?: AbortSignal }): AsyncIterable<JobEvent>
  /**
   * What tasks wrote, as it arrives: of one task or of all. With `follow` until the job ends, else what
   * is known now. Buffers on the way are bounded, here and at the host: where output was dropped because
   * somebody was too slow, a line with `gap` stands in its place. The last bytes are in the task's result.
   */
  logs(options?: { task?: string; follow?: boolean; signal?: AbortSignal }): AsyncIterable<LogLine>
  /** Resolves when the job has ended, however it ended. */
  wait(options?: { signal?: AbortSignal }): Promise<JobSummary>
  /**
   * Sends out no more tasks; what runs goes on. With `stop` it is ended as well, at nobody's expense, and
   * waits again: then no host does anything for the job.
   */
  pause(options?: { stop?: boolean }): Promise<void>
  resume(): Promise<void>
  /** Ends the job: nothing more is sent out, what runs is ended. Resolves when the hosts were told. */
  cancel(reason?: string): Promise<void>
  /**
   * Runs failed tasks again, each with all its attempts, those that were canceled because a task that they need
   * had failed, and what was not read of the source when the job ended. Resolves how many tasks that are;
   * failed parts of a range are cut anew.
   *
   * @throws CANCELED for a job that was canceled, HOOKS_MISSING when the rest of its source has to be given
   *   again in {@link Client.job}
   */
  retry(options: { failed: true }): Promise<number>
  /**
   * One text with which a client on another machine continues the job, see {@link Client.attach}: the job as
   * it is now, without functions and secrets, and the right to it. Whoever has it has the job, so keep it as
   * you keep a password. From now until the job is over its hosts keep the results that this client has
   * accepted, of each host the last 1024: nothing of these is computed again elsewhere. This client keeps what
   * each task alone takes for as long, since a result may be lost with its host, and runs again elsewhere then.
   *
   * @throws LIMIT for a job of more than 250,000 tasks, JOB_TAKEN
   */
  ownerKey(): Promise<string>
  /**
   * Every known host, with the rule that excludes it for this task, or what the task waits for.
   *
   * @throws NOT_FOUND
   */
  why(taskKey: string): Promise<HostVerdict[]>
}

/** A piece of what a task wrote, or a mark of what is missing there. */
export interface LogLine {
  task: string
  /** Empty in a mark for streams that are not told apart any more. */
  attempt: string
  stream: 'stdout' | 'stderr'
  text: string
  /** So many bytes of the stream were lost here; `text` is empty then. */
  gap?: number
}

/** A file that a task completed while it ran, on this client's disk, verified. */
export interface StreamedFile {
  /** Relative to /out. */
  readonly path: string
  readonly executable: boolean
  /**
   * `'arrived'`: its task has no result yet; `'result'`: it came from the attempt that became the result,
   * which may have a later version of it; `'provisional'`: from an attempt that did not, or that vanished.
   */
  readonly state: 'arrived' | 'result' | 'provisional'
  /** Its contents. @throws NOT_FOUND when it is kept no longer: it was replaced, or given up */
  bytes(): Promise<Uint8Array>
  /** Writes it to exactly that path, beside and renamed. @throws NOT_FOUND as {@link bytes} */
  saveTo(path: string): Promise<void>
}

export interface JobCounts {
  queued: number
  running: number
  completed: number
  failed: number
  canceled: number
  /** Known once the source of tasks has been read to its end. */
  total?: number
}

export interface JobProgress extends JobCounts {
  /** What is counted, for people: `'task'`, `'frame'`. */
  unit: string
  /** Tasks per second over the last half minute. */
  rate: number
  /** Bytes of inputs sent and outputs received. */
  bytesUp: number
  bytesDown: number
  /** The same per second, smoothed over about three seconds. */
  rateUp: number
  rateDown: number
  /** How many of the tasks that are out do what; together they are `running`. */
  phases: Record<ActivePhase, number>
  /** What the tasks that are out do, the first 1000 of them. */
  active: ActiveTask[]
  /**
   * Milliseconds to the end, when it can be told: from how long tasks took at each host, how many run and
   * wait, and what is still being transferred. Absent before the first task has ended, while the number of
   * tasks is not known, and while tasks wait and none is sent out.
   */
  eta?: number
}

/**
 * What a task is doing: its host gets the image; it gets the inputs, or makes the sandbox; the task runs
 * or stands still; its outputs are gathered and come here.
 */
export type ActivePhase = 'image' | 'inputs' | 'running' | 'outputs'

/** A task that is out. Tasks at one host may wait for one transfer: all of them have its numbers. */
export interface ActiveTask {
  task: string
  attempt: string
  host: string
  phase: ActivePhase
  /** While something is transferred: bytes that came, that have to come in all, and bytes per second. */
  bytes?: number
  total?: number
  rate?: number
  /** Milliseconds to the end of the phase, when it can be told. */
  etaMs?: number
}

export interface JobSummary {
  id: string
  name: string
  phase: JobPhase
  counts: JobCounts
  bytesUp: number
  bytesDown: number
  durationMs: number
  /** Why the job as a whole failed or was canceled. */
  error?: ErrorDocument
}

export interface HostVerdict {
  host: string
  eligible: boolean
  reason: string
  /** How long a word to it and back takes, ms, once that was measured. */
  rttMs?: number
}

export type HostChange =
  | { kind: 'found' | 'changed'; offer: Offer }
  | { kind: 'gone'; peerId: string }

/**
 * One line of a job's history. `seq` grows by one, except that `progress` is no history: it says how far
 * the job is now, is not kept, and has the `seq` of the event before it.
 */
export type JobEvent = { seq: number; time: string; job: string } & (
  | { kind: 'job'; phase: JobPhase; error?: ErrorDocument }
  /** With its end comes its result, unless that is not handed out yet: see `accept`. */
  | { kind: 'task'; task: string; phase: TaskPhase; result?: TaskResult }
  | {
      kind: 'attempt'
      task: string
      attempt: string
      host: string
      phase: AttemptPhase
      /** It only checks a result that the task has already. */
      check?: true
      by?: 'host' | 'client'
      reason?: string
      error?: ErrorDocument
      usage?: Usage
      /** With its end: when it was first heard of in each phase, ms since it was sent. */
      timeline?: AttemptTimeline
      /** When it is sent out: the checkpoint that it begins with. */
      startedFrom?: NonNullable<AttemptTimeline['startedFrom']>
      /** Files that had come of it, and are not part of a result: it was lost, or ended without one. */
      provisional?: number
    }
  /**
   * The check of a result is over. `agreed`: these hosts had the same, those in `wrong` had not. `disputed`:
   * nobody can tell who is right, and the task has failed.
   */
  | {
      kind: 'check'
      task: string
      outcome: 'agreed' | 'disputed'
      hosts: string[]
      wrong: string[]
    }
  /** A piece of a stream, up to its byte `upTo`; with `gap` instead of text: so many bytes are missing. */
  | {
      kind: 'log'
      task: string
      attempt: string
      stream: 'stdout' | 'stderr'
      text: string
      upTo: number
      gap?: number
    }
  /**
   * A file that the task has completed is here, while it still runs. The same path may come again, with
   * new contents or from another attempt: tasks run at least once, and what counts is the result.
   */
  | {
      kind: 'output'
      task: string
      attempt: string
      host: string
      path: string
      bytes: number
      executable: boolean
      file: StreamedFile
    }
  /** A checkpoint of the task is here, and durable: where it goes on when its attempt is lost now. */
  | {
      kind: 'checkpoint'
      task: string
      attempt: string
      host: string
      root: string
      bytes: number
    }
  /** Over what outputs come from a host, and how fast: once a second while they do, and at the end. */
  | ({ kind: 'transfer'; task: string; attempt: string } & TransferSource)
  /**
   * A host lacks the job's image, which this computer's engine has: its layers are exported as far as they
   * were not before. Told once; again when hosts may fetch it, with the bytes that were exported.
   */
  | { kind: 'image'; image: string; phase: 'exporting' | 'ready'; bytes: number }
  | { kind: 'progress'; progress: JobProgress }
  | { kind: 'gap'; missed: number }
)

export interface ClientOptions {
  network?: {
    /** Peers to connect to. At least one must answer when any is named. */
    bootstrap?: string[]
    /** Default: none; a client only dials. */
    listen?: string[]
    mdns?: boolean
    gossip?: boolean
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
