import type { Network } from '@manyhands/core'
import type { Attempt, EndIntent } from '../attempt.ts'
import type { AttemptRegistry } from '../attempt-registry.ts'
import type { CheckpointKeeper } from './checkpoint-keeper.ts'

/** Answers clients that speak of checkpoints of their own attempts. */
export function answerCheckpoints(
  network: Network,
  attempts: AttemptRegistry,
  checkpoints: CheckpointKeeper,
): void {
  network.handle('attempt.checkpoint', async ({ ids }, { peer }) => {
    const owned = new Map(attempts.ownedBy(peer, ids).map((attempt) => [attempt.id, attempt]))
    await checkpoints.asked(owned.values())
    return { checkpoints: ids.map((id) => owned.get(id)?.checkpoints.pending ?? null) }
  })
  network.handle('attempt.checkpointed', async ({ taken }, { peer }) => {
    for (const { id, seq } of taken) {
      const [attempt] = attempts.ownedBy(peer, [id])
      if (attempt !== undefined) await checkpoints.accepted(attempt, seq)
    }
    return {}
  })
}

/**
 * Ends attempts for their host; those that want checkpoints are kept for a last one, if it can be made in
 * time. The others end at once, and so does what is killed meanwhile.
 */
export function endAfterLast(
  checkpoints: CheckpointKeeper,
  end: (attempts: Attempt[], intent: EndIntent) => Promise<void>,
): (attempts: Attempt[], intent: EndIntent) => Promise<void> {
  return async (attempts, intent) => {
    const saving = attempts.filter(({ spec }) => spec.checkpoint !== undefined)
    const others = attempts.filter(({ spec }) => spec.checkpoint === undefined)
    const ends = saving.map((attempt) =>
      checkpoints.last([attempt]).then(() => end([attempt], intent)),
    )
    await Promise.all([end(others, intent), ...ends])
  }
}
