import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type ArtifactStore,
  ManyhandsError,
  type Runtime,
  type RuntimeFingerprint,
} from '@manyhands/core'
import { Attempt } from './attempt.ts'
import type { AttemptDesk } from './attempt-desk.ts'
import type { AttemptRegistry } from './attempt-registry.ts'
import type { AttemptRunner } from './attempt-runner.ts'
import type { HostJournal } from './host-journal.ts'

/**
 * Makes the journal and the engines agree after a restart, before anything new is admitted: sandboxes
 * that still exist are adopted, sealed ends are announced again, the rest ends as the host's fault.
 * Sandboxes of this instance that the journal does not know are removed.
 */
export async function recoverAttempts(parts: {
  journal: HostJournal
  runtimes: ReadonlyMap<string, { runtime: Runtime; fingerprint: RuntimeFingerprint }>
  store: ArtifactStore
  attempts: AttemptRegistry
  desk: AttemptDesk
  runner: AttemptRunner
  workDir: string
  inputsDir: string
}): Promise<void> {
  const { journal, runtimes, store, attempts, desk, runner, workDir, inputsDir } = parts
  const adopted = new Set<string>()
  for (const row of journal.attempts()) {
    if (row.end !== undefined) {
      const sealed = new Attempt(row, row.phase)
      sealed.end = row.end
      sealed.endedAt = performance.now()
      sealed.done.resolve()
      if (row.end.outputs !== undefined) store.retain(row.end.outputs.root, row.id)
      desk.restore(sealed)
      continue
    }
    const runtime = runtimes.get(row.spec.runtime)?.runtime
    // An engine that does not answer now has no sandbox that could be taken up.
    const task =
      row.handle === undefined
        ? undefined
        : await runtime?.recover(row.handle).catch(() => undefined)
    const attempt = new Attempt(row, task === undefined ? 'offered' : 'staging')
    desk.restore(attempt)
    if (task === undefined) {
      const error = new ManyhandsError('HOST_LOST', 'the host was restarted under the task')
      await runner.refuse(attempt, error)
    } else {
      adopted.add(task.handle.id)
      void runner.adopt(attempt, task)
    }
  }
  for (const { runtime, fingerprint } of runtimes.values()) {
    if (!fingerprint.available) continue
    for (const handle of await runtime.list()) {
      if (!adopted.has(handle.id)) await (await runtime.recover(handle))?.remove()
    }
  }
  // Inputs of an adopted sandbox are mounted in it: then all of them stay until the next start.
  if (adopted.size === 0) await rm(inputsDir, { recursive: true, force: true })
  await store.sweep()
  const running = new Set(attempts.live().map((attempt) => attempt.id))
  for (const name of await readdir(workDir)) {
    if (!running.has(name)) await rm(join(workDir, name), { recursive: true, force: true })
  }
}
