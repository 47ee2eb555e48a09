import type { ArtifactStore } from '@manyhands/core'
import type { Attempt } from './attempt.ts'
import { checkpointHolder, streamedHolder } from './held-artifacts.ts'

/**
 * What an attempt's disk has left for copies of what is on it: checkpoints, and outputs that its client may have
 * already. Negative when its task has written more meanwhile.
 */
export function copiesRoom({ limits, usage, streamed, checkpoints }: Attempt): number {
  return limits.diskBytes - usage.disk - streamed.bytes - checkpoints.bytes
}

/** What it would have left if all copies went that {@link makeCopiesRoom} lets go of. */
export function mostCopiesRoom(attempt: Attempt): number {
  return copiesRoom(attempt) + attempt.checkpoints.takenBytes + attempt.streamed.bytes
}

/**
 * Lets copies go until there is so much room: first what the client has, then outputs, which come at the end in any
 * case. Returns whether there is.
 */
export async function makeCopiesRoom(
  attempt: Attempt,
  bytes: number,
  store: Pick<ArtifactStore, 'release'>,
): Promise<boolean> {
  const { checkpoints, streamed } = attempt
  if (copiesRoom(attempt) < bytes) await release(checkpoints.dropTaken(), attempt, store)
  while (copiesRoom(attempt) < bytes && streamed.bytes > 0) {
    const root = streamed.dropOldest()
    if (root !== undefined) await store.release(root, streamedHolder(attempt.id))
  }
  return copiesRoom(attempt) >= bytes
}

/**
 * Its task comes first: what it has written takes the place of all copies, those too that its client waits for. The
 * newest checkpoint is the last to go.
 */
export async function keepToDisk(
  attempt: Attempt,
  store: Pick<ArtifactStore, 'release'>,
): Promise<void> {
  if (await makeCopiesRoom(attempt, 0, store)) return
  const { checkpoints } = attempt
  while (copiesRoom(attempt) < 0 && checkpoints.roots.length > 0) {
    await release(checkpoints.dropOldest(), attempt, store)
  }
}

async function release(
  roots: string[],
  { id }: Attempt,
  store: Pick<ArtifactStore, 'release'>,
): Promise<void> {
  for (const root of roots) await store.release(root, checkpointHolder(id))
}
