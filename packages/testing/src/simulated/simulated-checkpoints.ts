import { type AttemptEnd, ManyhandsError } from '@manyhands/core'
import type { SimulatedAttempt } from './simulated-attempt.ts'
import type { SimulatedPeer } from './simulated-peer.ts'

/**
 * Answers clients that speak of checkpoints. Tasks of simulated hosts have written nothing before they end:
 * there are none but those that they leave when they ask to be continued.
 */
export function answerCheckpoints(peer: SimulatedPeer): void {
  peer.handle('attempt.checkpoint', async ({ ids }) => ({ checkpoints: ids.map(() => null) }))
  peer.handle('attempt.checkpointed', async () => ({}))
}

/** Whether an end means: continue me. */
export function asksToContinue({ spec }: SimulatedAttempt, { exitCode, oom }: AttemptEnd): boolean {
  const code = spec.checkpoint?.continueCode
  return code !== undefined && !oom && exitCode === code
}

/** Says in an end that asks for it that the task goes on from what it left, or that it left nothing. */
export function continued(
  end: AttemptEnd,
  left: { root: string; bytes: number; files: number },
): void {
  const { root, bytes, files } = left
  const why = `the task ended with exit code ${end.exitCode} to be continued`
  if (files === 0) {
    end.error = new ManyhandsError('TASK_FAILED', `${why}, and left no checkpoint`).toJSON()
    return
  }
  end.error = new ManyhandsError('TASK_CONTINUES', why).toJSON()
  end.checkpoint = { seq: 1, root, bytes }
}
