import type { AttemptSpec, RpcResult, WireInput } from '@manyhands/core'
import type { ChunkItem } from './job-cutting.ts'
import type { LiveAttempt, Task } from './task.ts'

/** An attempt that another client sent, as its host tells of it. */
export type FoundAttempt = Pick<
  RpcResult<'job.claim'>['attempts'][number],
  'id' | 'task' | 'client' | 'inputs' | 'restore'
>

/** Whether what an attempt of a task takes is found out only when it is sent. */
function isSupplied({ overrides, chunk, item }: Task): boolean {
  return (
    overrides.taken !== undefined ||
    (chunk !== undefined && (item as Partial<ChunkItem> | null)?.items !== undefined)
  )
}

/** Whether it is known here what an attempt was given: else its receipt says nothing about its host. */
export function isSpecKnown(task: Task, { inputs }: LiveAttempt): boolean {
  return inputs !== undefined || !isSupplied(task)
}

/**
 * What an attempt that another client sent was given, as its host says. Undefined where the task says it by
 * itself, and where the host says what cannot be: what the task names is there as it is named, and what
 * comes from elsewhere is where the task takes it.
 */
export function adoptedInputs(
  task: Task,
  base: AttemptSpec,
  said: WireInput[] | undefined,
): WireInput[] | undefined {
  if (said === undefined || !isSupplied(task)) return undefined
  const roots = new Map(said.map(({ path, root }) => [path, root]))
  const own = task.overrides.inputs ?? base.inputs
  const taken = task.overrides.taken ?? []
  const items = task.chunk === undefined ? 0 : 1
  const sound =
    said.length === own.length + taken.length + items &&
    own.every(({ path, root }) => roots.get(path) === root) &&
    taken.every(({ path }) => roots.has(path))
  return sound ? said : undefined
}
