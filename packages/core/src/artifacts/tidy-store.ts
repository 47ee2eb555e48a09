import type { GcOptions, GcSection } from '../gc-report.ts'
import { createArtifactStore } from './create-artifact-store.ts'
import { surveyStore } from './survey-store.ts'

/** A store of which no process has the state directory open, and who still needs what of it. */
export interface IdleStore {
  dir: string
  /** Who holds what, by root. */
  holders: ReadonlyMap<string, readonly string[]>
  /** Says for people what a holder is. */
  reasonOf?: (holder: string) => string
}

/**
 * Tidies up a store that is not open. The caller has the lock of its state directory; for a dry run it need
 * not, since nothing is changed.
 */
export async function tidyIdleStore(idle: IdleStore, options: GcOptions): Promise<GcSection> {
  const { keepBytes, signal, dryRun } = options
  const found = await surveyStore({ ...idle, ...(keepBytes === undefined ? {} : { keepBytes }) })
  if (dryRun || found.removed.files + found.removed.artifacts === 0) return found
  signal?.throwIfAborted()
  await using store = await createArtifactStore({ dir: idle.dir })
  for (const [root, holders] of idle.holders) {
    for (const holder of holders) store.retain(root, holder)
  }
  await store.gc({ ...(keepBytes === undefined ? {} : { keepBytes }) })
  return found
}
