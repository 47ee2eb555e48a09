import {
  type AnnouncedCheckpoint,
  type ArtifactStore,
  type Clock,
  isTerminal,
  LIMITS,
  type Network,
} from '@manyhands/core'
import { checkpointHolder } from '../held-artifacts.ts'
import type { JobRun } from '../job-run.ts'
import type { LiveAttempt, Task } from '../task.ts'
import { CheckpointFetcher } from './fetch-checkpoint.ts'
import { checkpointKey, type KeptCheckpoint, type KeptCheckpoints } from './kept-checkpoints.ts'

export interface CheckpointIntakeOptions {
  network: Network
  store: ArtifactStore
  clock: Clock
}

/** An attempt of which checkpoints come. */
export interface Sender {
  job: JobRun
  task: Task
  attempt: LiveAttempt
}

/** Whether anything of an attempt is wanted. */
export const isWanted = ({ job, task, attempt }: Sender) =>
  !attempt.canceled && !job.over && !isTerminal(task.phase) && !task.revoked

/** Takes one checkpoint: fetched, looked at, durable. */
export class CheckpointIntake {
  readonly #options: CheckpointIntakeOptions
  readonly #kept: KeptCheckpoints
  readonly #fetcher: CheckpointFetcher

  constructor(options: CheckpointIntakeOptions, kept: KeptCheckpoints) {
    this.#options = options
    this.#kept = kept
    this.#fetcher = new CheckpointFetcher(options.network, options.store)
  }

  /**
   * Resolves when it is the one that is kept, or need not be.
   *
   * @throws as CheckpointFetcher.fetch, and as the journal; the one before stays
   */
  async take(from: Sender, checkpoint: AnnouncedCheckpoint, signal: AbortSignal): Promise<void> {
    const { store, clock } = this.#options
    const { seq, root, bytes } = checkpoint
    const { job, task, attempt } = from
    const { epoch, host, id } = attempt
    const key = checkpointKey(task)
    // Of an older attempt, or an earlier one of the same: what is newer is never replaced by it.
    const late = (kept: KeptCheckpoint | undefined) =>
      kept !== undefined && (kept.epoch > epoch || (kept.epoch === epoch && kept.seq >= seq))
    if (!isWanted(from) || late(this.#kept.get(job.id, key))) return
    // For the time of the transfer apart: the task may end, or another attempt may be quicker.
    const holder = `${checkpointHolder(job.id, key)} ${id}`
    store.retain(root, holder)
    try {
      await this.#fetcher.fetch(job, host, checkpoint, signal)
      const of = { job: job.id, key, epoch, seq, root, bytes, attempt: id, host }
      const own = task.checks ? { unjournaled: true as const } : {}
      const kept = await this.#kept.change(job.id, key, (before) => {
        signal.throwIfAborted()
        if (!isWanted(from) || late(before)) return undefined
        // The same files again are no step: what leads nowhere does so still.
        const starts = before?.root === root ? before.starts : 0
        return { ...of, ...own, starts, continued: before?.continued ?? 0 }
      })
      if (!kept) return
      // It ended while that was written.
      if (isTerminal(task.phase) || job.over) return await this.#kept.forget(job.id, key)
      const times = [...(attempt.timeline.checkpoints ?? []), clock.now() - attempt.sentAt]
      attempt.timeline.checkpoints = times.slice(-LIMITS.checkpointsListed).map(Math.round)
      job.tell({ kind: 'checkpoint', task: task.key, attempt: id, host, root, bytes })
    } finally {
      await store.release(root, holder)
    }
  }
}
