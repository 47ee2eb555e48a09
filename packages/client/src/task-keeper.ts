import type { TaskResult } from '@manyhands/core'
import type { TaskEnd } from './job-counts.ts'
import type { HeldAt } from './journal/result-rows.ts'
import type { Task } from './task.ts'

/** Who keeps tasks of a job and is told what becomes of them: those of its source, or those that check them. */
export interface TaskKeeper {
  /** Tasks that wait for a host, next first. */
  readonly ready: readonly Task[]
  /** Tasks that are out, by fingerprint. */
  readonly running: ReadonlyMap<string, Task>
  /** Tasks that were ever out and are not over, by fingerprint. */
  readonly sent: ReadonlyMap<string, Task>
  /** It goes to a host. */
  take(task: Task): void
  /** It waits again. @param unused - no host has done anything of it */
  requeue(task: Task, unused?: boolean): void
  /** It is over. Resolves whether that was accepted. */
  settle(task: Task, phase: TaskEnd, result: TaskResult, held?: HeldAt): Promise<boolean>
  /** Who holds an artifact that an attempt of it wrote. */
  holder(task: Task, root: string): string
  /** All that is out waits again. Resolves when that is durable. */
  standDown(): Promise<void>
}
