import { setTimeout as delay } from 'node:timers/promises'
import {
  type AttemptEnd,
  LIMITS,
  type Logger,
  liveTreesSupported,
  ManyhandsError,
  type Runtime,
  type RuntimeExit,
} from '@manyhands/core'
import type { Attempt } from '../attempt.ts'
import { keepToDisk } from '../copies-room.ts'
import { checkpointHolder } from '../held-artifacts.ts'
import { Lanes } from '../lanes.ts'
import { outputGlobs } from '../output-watch.ts'
import { CheckpointTaker, type CheckpointTakerOptions, keepCheckpoint } from './checkpoint-taker.ts'

/** Attempts of which checkpoints are made at once. */
const LANES = 2
/** How far an interval differs from what was asked for, so that many tasks do not stand still together. */
const JITTER = 0.1

export interface CheckpointKeeperOptions extends CheckpointTakerOptions {
  /** Whether the client of an attempt listens: checkpoints for nobody are not made. */
  listening(attempt: Attempt): boolean
  /** Whether the disk of this host is nearly full. */
  diskShort(): boolean
  /** From 0 to 1; default: the randomness of this computer. */
  random?: () => number
  logger: Logger
}

interface Watched {
  taker: CheckpointTaker
  /** Aborted when the next one is not to wait for its time. */
  soon: AbortController
  /** While its client waits for one. */
  asked: Promise<void> | undefined
}

/** Whether a runtime shows what a task has written while it runs, and this system lets us look. */
export function canCheckpointLive(capabilities: { liveOutputs: boolean }): boolean {
  return capabilities.liveOutputs && liveTreesSupported
}

/**
 * Makes checkpoints of attempts that want them: at their interval, when they are paused, and before they are
 * sent away. The next one is made when the client has taken the one before, so that none pile up.
 */
export class CheckpointKeeper {
  readonly #options: CheckpointKeeperOptions
  readonly #lanes = new Lanes(LANES)
  readonly #watched = new Map<Attempt, Watched>()

  constructor(options: CheckpointKeeperOptions) {
    this.#options = options
  }

  /** @param outDir - of a sandbox that runs. Resolves when `stop` was called, and nothing is touched any more */
  watch(attempt: Attempt, outDir: string, runtime: Runtime): { stop(): Promise<void> } {
    if (attempt.spec.checkpoint === undefined || !canCheckpointLive(runtime.capabilities)) {
      return { stop: async () => {} }
    }
    const taker = new CheckpointTaker(attempt, outDir, this.#options)
    const watched: Watched = { taker, soon: new AbortController(), asked: undefined }
    this.#watched.set(attempt, watched)
    const stopping = new AbortController()
    const over = this.#follow(attempt, watched, stopping.signal)
    return {
      stop: async () => {
        this.#watched.delete(attempt)
        stopping.abort()
        await over
        await taker.settled()
      },
    }
  }

  /** It stands still: what it has now need not wait. */
  soon(attempt: Attempt): void {
    this.#watched.get(attempt)?.soon.abort()
  }

  /** Last checkpoints of attempts that are about to end, as far as they can be made in time. Does not reject. */
  async last(attempts: Iterable<Attempt>): Promise<void> {
    await Promise.all([...attempts].map((attempt) => this.#last(attempt)))
  }

  /** The same where a client asks for them: each in its turn, however often it asks. Does not reject. */
  async asked(attempts: Iterable<Attempt>): Promise<void> {
    await Promise.all([...attempts].map((attempt) => this.#asked(attempt)))
  }

  /** Its task has written more, or less: what is kept of it stays within its disk. Does not reject. */
  async measured(attempt: Attempt): Promise<void> {
    if (attempt.spec.checkpoint === undefined) return
    await keepToDisk(attempt, this.#options.store).catch((cause) => {
      this.#options.logger.warn('copies of an attempt could not be removed', {
        attempt: attempt.id,
        cause: String(cause),
      })
    })
  }

  /** The client has one, or does not want it. */
  async accepted(attempt: Attempt, seq: number): Promise<void> {
    await this.#release(attempt, attempt.checkpoints.taken(seq))
  }

  /**
   * The task has ended with the code that means: continue me. What it left is its checkpoint, and its end says
   * that there is nothing to blame.
   */
  async continued(
    attempt: Attempt,
    outDir: string,
    exit: RuntimeExit,
    end: AttemptEnd,
  ): Promise<void> {
    const { store } = this.#options
    const holder = checkpointHolder(attempt.id)
    const globs = outputGlobs(attempt.spec.checkpoint!.paths)
    const artifact = await store.collect(outDir, globs, {
      signal: attempt.ending.signal,
      holder,
      copy: exit.shared === true,
    })
    const { files } = artifact.manifest
    const known = attempt.checkpoints.has(artifact.root)
    if (
      files.length === 0 ||
      files.length > LIMITS.checkpointFiles ||
      artifact.size > LIMITS.checkpointBytes
    ) {
      if (!known) await store.release(artifact.root, holder)
      const what =
        files.length === 0 ? 'left no checkpoint' : 'left more than a checkpoint may have'
      const message = `the task asked to be continued, and ${what}`
      end.error = new ManyhandsError('TASK_FAILED', message).toJSON()
      return
    }
    await keepCheckpoint(attempt, artifact, this.#options)
    const why = `the task ended with exit code ${exit.exitCode}: it wants to be continued`
    end.error = new ManyhandsError('TASK_CONTINUES', why).toJSON()
  }

  /** Its end is sealed: what that does not name is let go of. */
  async sealed(attempt: Attempt): Promise<void> {
    const keepPending = attempt.end?.checkpoint !== undefined
    await this.#release(attempt, attempt.checkpoints.end({ keepPending }))
  }

  /** Nobody asks for anything of it any more. */
  async forget(attempt: Attempt): Promise<void> {
    await this.#release(attempt, attempt.checkpoints.end({ keepPending: false }))
  }

  async #follow(attempt: Attempt, watched: Watched, signal: AbortSignal): Promise<void> {
    const { random = Math.random, listening, diskShort, logger } = this.#options
    const { everyMs } = attempt.spec.checkpoint!
    while (!signal.aborted) {
      await rest(everyMs * (1 - JITTER + 2 * JITTER * random()), watched, signal)
      if (signal.aborted || !canBeTaken(attempt) || attempt.checkpoints.pending !== undefined)
        continue
      if (!listening(attempt) || diskShort()) continue
      await this.#lanes
        .run(signal, () => watched.taker.take(signal, { calm: true }))
        .catch((cause) => {
          if (signal.aborted) return
          logger.debug('no checkpoint was made', { attempt: attempt.id, cause: String(cause) })
        })
    }
  }

  #asked(attempt: Attempt): Promise<void> {
    const watched = this.#watched.get(attempt)
    if (watched === undefined) return Promise.resolve()
    watched.asked ??= this.#lanes
      .run(attempt.ending.signal, () => this.#last(attempt))
      .catch(() => {})
      .finally(() => {
        watched.asked = undefined
      })
    return watched.asked
  }

  async #last(attempt: Attempt): Promise<void> {
    const watched = this.#watched.get(attempt)
    if (watched === undefined || !canBeTaken(attempt)) return
    const { ending } = attempt
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(), LIMITS.checkpointLastMs)
    const signal = AbortSignal.any([ending.signal, late.signal])
    try {
      await watched.taker.last(signal)
    } catch (cause) {
      this.#options.logger.debug('no last checkpoint', {
        attempt: attempt.id,
        cause: String(cause),
      })
    } finally {
      clearTimeout(timer)
    }
  }

  async #release(attempt: Attempt, roots: string[]): Promise<void> {
    for (const root of roots) await this.#options.store.release(root, checkpointHolder(attempt.id))
  }
}

const canBeTaken = ({ phase, intent }: Attempt) =>
  intent === undefined && (phase === 'running' || phase === 'paused')

/** Until the time is over, or nothing need be waited for. Does not reject. */
async function rest(ms: number, watched: Watched, signal: AbortSignal): Promise<void> {
  const early = AbortSignal.any([signal, watched.soon.signal])
  await delay(ms, undefined, { signal: early, ref: false }).catch(() => {})
  if (watched.soon.signal.aborted) watched.soon = new AbortController()
}
