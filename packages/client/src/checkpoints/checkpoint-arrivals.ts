import {
  type AnnouncedCheckpoint,
  LIMITS,
  type Logger,
  ManyhandsError,
  toManyhandsError,
} from '@manyhands/core'
import { DISK_FULL_WAIT_MS } from '../disk-full-wait.ts'
import type { HostDirectory } from '../host-directory.ts'
import type { JobRun } from '../job-run.ts'
import type { LiveAttempt, Task } from '../task.ts'
import {
  CheckpointIntake,
  type CheckpointIntakeOptions,
  isWanted,
  type Sender,
} from './checkpoint-intake.ts'
import { HostLanes } from './host-lanes.ts'
import type { KeptCheckpoints } from './kept-checkpoints.ts'

/** Faults of the host that a checkpoint came from. */
const REFUSED: ReadonlySet<string> = new Set(['PROTOCOL', 'ARTIFACT_CORRUPT', 'LIMIT'])
/** Times that one is tried; then its host has to tell of it again. */
const TRIES = 3
/** Pause before it is tried again, ms; a full disk of ours takes longer to change. */
const RETRY_MS = 500

export interface CheckpointArrivalsOptions extends CheckpointIntakeOptions {
  directory: HostDirectory
  logger: Logger
  closing: AbortSignal
}

/** What a host says of one attempt's checkpoints, as far as we are with it. */
interface Heard {
  from: Sender
  /** The newest that it told of. */
  newest: AnnouncedCheckpoint
  /** Up to here it need not keep them for us. */
  settled: number
  /** While something is being taken. */
  coming: Promise<void> | undefined
  /** Why the newest is not here. */
  failure: ManyhandsError | undefined
  /** Whether there is no room for it on our own disk, and since when there may be again, monotonic ms. */
  full: boolean
  roomAt: number
  stopping: AbortController
}

/** Takes checkpoints as hosts tell of them; a host is told when one is here, or never will be. */
export class CheckpointArrivals {
  readonly #options: CheckpointArrivalsOptions
  readonly #intake: CheckpointIntake
  readonly #lanes = new HostLanes()
  readonly #heard = new WeakMap<LiveAttempt, Heard>()
  readonly #coming = new Map<Task, Set<Heard>>()

  constructor(options: CheckpointArrivalsOptions, kept: KeptCheckpoints) {
    this.#options = options
    this.#intake = new CheckpointIntake(options, kept)
  }

  /** A host has one. It says so until it is told that we have it. Resolves when that is done, or given up. */
  announced(
    job: JobRun,
    task: Task,
    attempt: LiveAttempt,
    checkpoint: AnnouncedCheckpoint,
  ): Promise<void> {
    const from = { job, task, attempt }
    const heard = this.#heard.get(attempt) ?? newlyHeard(from, checkpoint)
    this.#heard.set(attempt, heard)
    // Of those that are told while one comes, the newest counts: a host that floods us costs one at a time.
    if (checkpoint.seq > heard.newest.seq) heard.newest = checkpoint
    if (heard.coming !== undefined) return heard.coming
    if (heard.settled >= heard.newest.seq) {
      // It was not told, or has not heard it.
      this.#tell(attempt, heard.settled)
      return Promise.resolve()
    }
    const coming = this.#coming.get(task) ?? new Set()
    this.#coming.set(task, coming.add(heard))
    heard.coming = this.#bring(heard).finally(() => {
      heard.coming = undefined
      coming.delete(heard)
      if (coming.size === 0 && this.#coming.get(task) === coming) this.#coming.delete(task)
    })
    return heard.coming
  }

  /**
   * The same for the last one of an attempt that has ended, for which its task waits: not longer than it takes at
   * the least rate, unless it is our own disk that has no room. Does not reject.
   */
  async last(
    job: JobRun,
    task: Task,
    attempt: LiveAttempt,
    checkpoint: AnnouncedCheckpoint,
  ): Promise<void> {
    const { clock } = this.#options
    const begunAt = clock.now()
    const here = new AbortController()
    const come = this.announced(job, task, attempt, checkpoint).finally(() => here.abort())
    const heard = this.#heard.get(attempt)!
    const bytes = Math.max(this.#lanes.bytes(attempt.host), this.#bytes(heard))
    const boundMs = LIMITS.checkpointLastMs + (bytes / LIMITS.checkpointBytesPerSecond) * 1000
    while (!here.signal.aborted) {
      const leftMs = Math.max(begunAt, heard.roomAt) + boundMs - clock.now()
      if (!heard.full && leftMs <= 0) {
        const error = new ManyhandsError('TIMEOUT', 'it did not come in time')
        heard.failure = error
        heard.stopping.abort(error)
        return
      }
      const waitMs = heard.full ? DISK_FULL_WAIT_MS : leftMs
      await Promise.race([come, clock.delay(waitMs, { signal: here.signal }).catch(() => {})])
    }
  }

  /** Why the newest of an attempt is not here; and whether its host is to blame for that. */
  failureOf(attempt: LiveAttempt): { error: ManyhandsError; blamed: boolean } | undefined {
    const error = this.#heard.get(attempt)?.failure
    return error && { error, blamed: REFUSED.has(error.code) }
  }

  /** Nothing more comes of an attempt. */
  stop(attempt: LiveAttempt): void {
    this.#heard.get(attempt)?.stopping.abort()
  }

  /** Nothing more comes of a task. */
  stopTask(task: Task): void {
    for (const { stopping } of this.#coming.get(task) ?? []) stopping.abort()
  }

  /** Nothing more comes of a job. */
  stopJob(job: JobRun): void {
    for (const all of this.#coming.values()) {
      for (const { from, stopping } of all) if (from.job === job) stopping.abort()
    }
  }

  /** Resolves when nothing is touched any more; what comes was aborted before. */
  async close(): Promise<void> {
    await this.#lanes.idle()
  }

  /** Does not reject. */
  async #bring(heard: Heard): Promise<void> {
    const { closing, clock } = this.#options
    const { attempt } = heard.from
    const signal = AbortSignal.any([closing, heard.stopping.signal])
    for (let tries = 1; heard.settled < heard.newest.seq; tries += 1) {
      const now = heard.newest
      const error = await this.#attempted(heard, now, signal)
      if (closing.aborted) return
      heard.failure = error ?? undefined
      // One that its host has let go of does not come, and is not waited for by it.
      const gone = error?.code === 'ARTIFACT_MISSING' && tries >= TRIES
      const refused = error !== undefined && REFUSED.has(error.code)
      if (error === undefined || refused || gone || !isWanted(heard.from)) {
        heard.settled = now.seq
        this.#tell(attempt, now.seq)
        tries = 0
        continue
      }
      heard.full = error.code === 'DISK_FULL'
      if (heard.full) tries = 0
      else if (tries >= TRIES || attempt.lost || signal.aborted) return
      const waitMs = heard.full ? DISK_FULL_WAIT_MS : RETRY_MS * tries
      await clock.delay(waitMs, { signal }).catch(() => {})
      if (heard.full) heard.roomAt = clock.now()
      heard.full = false
    }
  }

  /** Why one did not come; undefined when it is here, or need not be. */
  async #attempted(
    heard: Heard,
    checkpoint: AnnouncedCheckpoint,
    signal: AbortSignal,
  ): Promise<ManyhandsError | undefined> {
    if (!isWanted(heard.from)) return undefined
    const { attempt } = heard.from
    const claim = { bytes: this.#bytes(heard), signal }
    try {
      await this.#lanes.run(attempt.host, claim, () =>
        this.#intake.take(heard.from, checkpoint, signal),
      )
      return undefined
    } catch (cause) {
      const error = toManyhandsError(cause)
      if (!signal.aborted) this.#missed(heard.from, error)
      return error
    }
  }

  /** What is wrong with a checkpoint is at the expense of its host; the one before stays. */
  #missed({ job, task, attempt }: Sender, error: ManyhandsError): void {
    const { logger, directory } = this.#options
    logger.debug('a checkpoint was not taken', { attempt: attempt.id, cause: String(error) })
    if (!REFUSED.has(error.code)) return
    const of = { image: job.document.base.image, task: task.fingerprint, durationMs: 0 }
    directory.record(attempt.host)?.record('failed', of)
  }

  /** What it says that comes; more than its disk cannot. */
  #bytes({ from, newest }: Heard): number {
    return Math.min(newest.bytes, from.job.document.base.resources.diskBytes)
  }

  /** The host need not keep it for us. What is lost on the way it asks again. */
  #tell(attempt: LiveAttempt, seq: number): void {
    const { network, closing } = this.#options
    if (closing.aborted) return
    const taken = [{ id: attempt.id, seq }]
    network.call(attempt.host, 'attempt.checkpointed', { taken }).catch(() => {})
  }
}

function newlyHeard(from: Sender, newest: AnnouncedCheckpoint): Heard {
  const stopping = new AbortController()
  return {
    ...{ from, newest, stopping, settled: 0, roomAt: 0, full: false },
    ...{ coming: undefined, failure: undefined },
  }
}
