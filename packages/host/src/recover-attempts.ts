import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type ArtifactStore, type Logger, ManyhandsError } from '@manyhands/core'
import { Attempt } from './attempt.ts'
import type { AttemptDesk } from './attempt-desk.ts'
import type { AttemptRegistry } from './attempt-registry.ts'
import type { AttemptRunner } from './attempt-runner.ts'
import { checkpointHolder } from './held-artifacts.ts'
import type { HostJournal, JournaledAttempt } from './host-journal.ts'
import { type HostRuntime, RuntimeRecovery } from './runtime-recovery.ts'

export interface RecoveryParts {
  journal: HostJournal
  runtimes: ReadonlyMap<string, HostRuntime>
  store: ArtifactStore
  attempts: AttemptRegistry
  desk: AttemptDesk
  runner: AttemptRunner
  workDir: string
  inputsDir: string
  /** How long an engine that does not answer is waited for, ms. */
  engineLostMs: number
  logger: Logger
  /** Fires when the host closes. */
  closing: AbortSignal
  /** A runtime is through, and may be given work. */
  recovered(): void
}

/**
 * Makes the journal and the engines agree after a restart, before anything new is admitted: sandboxes
 * that still exist are adopted, sealed ends are announced again, the rest ends as the host's fault.
 * Sandboxes of this instance that the journal does not know are removed.
 *
 * Resolves when every engine that answers is through. One that does not is waited for behind the
 * host's back; until it answers its runtime is not offered.
 */
export async function recoverAttempts(parts: RecoveryParts): Promise<void> {
  const { journal, runtimes, store, attempts, desk, runner, workDir, inputsDir, logger } = parts
  const staged = await readdir(inputsDir).catch(() => [])
  const open: JournaledAttempt[] = []
  for (const row of journal.attempts()) {
    const left = row.end === undefined ? row.checkpoint : row.end.checkpoint
    if (left !== undefined) store.retain(left.root, checkpointHolder(row.id))
    if (row.end === undefined) open.push(row)
    else restoreSealed(row, { store, desk })
  }
  // Before anything is adopted: what an ended sandbox wrote is not held until it is collected.
  await store.gc()
  const begun: Promise<void>[] = []
  for (const [name, entry] of runtimes) {
    const recovery = new RuntimeRecovery(entry, parts)
    for (const row of open.filter(({ spec }) => spec.runtime === name)) recovery.wait(row)
    begun.push(recovery.begin())
  }
  for (const row of open.filter(({ spec }) => !runtimes.has(spec.runtime))) {
    const attempt = new Attempt(row)
    desk.restore(attempt)
    const why = `the host was restarted without the runtime ${row.spec.runtime}`
    void runner.refuse(attempt, new ManyhandsError('HOST_LOST', why))
  }
  await Promise.all(begun)
  const live = attempts.live()
  const running = new Set(live.map((attempt) => attempt.id))
  const remove = async (path: string) => {
    await rm(path, { recursive: true, force: true }).catch((cause) => {
      logger.warn('a directory of an earlier run stays', { path, cause: String(cause) })
    })
  }
  for (const name of await readdir(workDir)) {
    if (!running.has(name)) await remove(join(workDir, name))
  }
  // Inputs of adopted sandboxes are mounted in them: all of them stay until the last one has ended.
  const ended = Promise.all(live.map((attempt) => attempt.done.promise))
  const clean = async () => {
    for (const name of staged) await remove(join(inputsDir, name))
  }
  if (live.length === 0) await clean()
  else void ended.then(clean)
}

function restoreSealed(
  row: JournaledAttempt,
  { store, desk }: Pick<RecoveryParts, 'store' | 'desk'>,
): void {
  const sealed = new Attempt(row, row.phase)
  sealed.end = row.end
  sealed.endedAt = performance.now()
  sealed.done.resolve()
  if (row.end?.outputs !== undefined) store.retain(row.end.outputs.root, row.id)
  desk.restore(sealed)
}
