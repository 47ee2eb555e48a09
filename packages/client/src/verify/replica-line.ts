import type { ArtifactStore, TaskResult } from '@manyhands/core'
import type { TaskEnd } from '../job-counts.ts'
import type { Task } from '../task.ts'
import type { TaskKeeper } from '../task-keeper.ts'
import type { OpenCheck } from './open-check.ts'

export interface ReplicaLineParts {
  store: Pick<ArtifactStore, 'release'>
  /** Something can be sent out. */
  ready(): void
  /** A replica is over. */
  ended(check: OpenCheck, task: Task, phase: TaskEnd, result: TaskResult): void
}

/**
 * The tasks that check others: they have the same keys, and are known to nobody else. They are not in the
 * journal; after a restart the checks that they were for begin anew.
 */
export class ReplicaLine implements TaskKeeper {
  readonly ready: Task[] = []
  readonly running = new Map<string, Task>()
  readonly sent = new Map<string, Task>()
  readonly #parts: ReplicaLineParts
  readonly #checks = new Map<Task, OpenCheck>()
  /** Outputs that are kept for each check. */
  readonly #held = new Map<OpenCheck, { root: string; holder: string }[]>()

  constructor(parts: ReplicaLineParts) {
    this.#parts = parts
  }

  checkOf(task: Task): OpenCheck | undefined {
    return this.#checks.get(task)
  }

  add(check: OpenCheck, task: Task): void {
    check.replicas.add(task)
    this.#checks.set(task, check)
    this.ready.push(task)
  }

  take(task: Task): void {
    if (!this.#checks.has(task)) return
    this.#leaveLine(task)
    task.move('running')
    this.running.set(task.fingerprint, task)
    this.sent.set(task.fingerprint, task)
  }

  requeue(task: Task): void {
    if (!this.#checks.has(task)) return
    this.running.delete(task.fingerprint)
    if (task.phase === 'running') task.move('queued')
    if (!this.ready.includes(task)) this.ready.unshift(task)
    this.#parts.ready()
  }

  async settle(task: Task, phase: TaskEnd, result: TaskResult): Promise<boolean> {
    const check = this.#checks.get(task)
    this.#forget(task)
    if (check === undefined) return false
    if (task.phase === 'queued' && phase === 'completed') task.move('running')
    task.move(phase)
    this.#parts.ended(check, task, phase, result)
    return true
  }

  holder(task: Task, root: string): string {
    const check = this.#checks.get(task)
    const held = { root, holder: task.fingerprint }
    if (check !== undefined) this.#held.set(check, [...(this.#held.get(check) ?? []), held])
    return held.holder
  }

  async standDown(): Promise<void> {
    for (const task of [...this.running.values()]) this.requeue(task)
  }

  /** Nobody waits for a check any more. Answers its replicas: some are out, some have left checkpoints, or both. */
  drop(check: OpenCheck): Task[] {
    const dropped = [...check.replicas]
    for (const task of dropped) this.#forget(task)
    for (const { root, holder } of this.#held.get(check) ?? []) {
      this.#parts.store.release(root, holder).catch(() => {})
    }
    this.#held.delete(check)
    return dropped
  }

  #forget(task: Task): void {
    this.#checks.get(task)?.replicas.delete(task)
    this.#checks.delete(task)
    this.running.delete(task.fingerprint)
    this.sent.delete(task.fingerprint)
    this.#leaveLine(task)
  }

  #leaveLine(task: Task): void {
    const at = this.ready.indexOf(task)
    if (at >= 0) this.ready.splice(at, 1)
  }
}
