import {
  fillTemplate,
  type JobSpec,
  ManyhandsError,
  type TaskSpec,
  validateTaskSpec,
} from '@manyhands/core'
import type { JobDocument } from './job-document.ts'
import type { JobInputs } from './job-inputs.ts'
import type { TakenInput } from './taken-input.ts'
import { inputsOwner, type TaskOverrides } from './task.ts'

/** A task as its source and the job's `task` function describe it. */
export interface TaskDocument {
  key: string
  /** Whether the caller chose the key. */
  explicit: boolean
  /** Undefined: what the job's templates make of the item. */
  overrides: TaskOverrides | undefined
  needs: string[]
  /** Those of them whose outputs it takes. */
  takes: string[]
}

/**
 * What the task of an item is.
 *
 * @throws SPEC_INVALID, INPUT_UNREADABLE, PATH_UNSAFE
 */
export async function taskDocument(
  of: { document: JobDocument; task: JobSpec['task']; inputs: JobInputs },
  item: unknown,
  index: number,
): Promise<TaskDocument> {
  const { document, task, inputs } = of
  if (task === undefined) {
    // Found here, a template that does not fit costs its task and nobody else.
    const { taken } = templated(document, item, index)
    const takes = takesOf(taken)
    return { key: keyOf(item, index), explicit: false, overrides: undefined, needs: takes, takes }
  }
  const own = validateTaskSpec(called(task, item, index), index)
  const overrides = templated(document, item, index, own)
  if (own.inputs !== undefined) {
    const { base, taken = [] } = document
    const named = await inputs.takeAll(own.inputs, { task: inputsOwner({ index }) })
    const replaced = new Set(Object.keys(own.inputs))
    const others = <Named extends { path: string }>(all: Named[]) =>
      all.filter(({ path }) => !replaced.has(path))
    overrides.inputs = [...others(base.inputs), ...named.inputs]
    const all = [...others(taken), ...named.taken]
    if (all.length > 0) overrides.taken = all
    else delete overrides.taken
  }
  if (own.outputs !== undefined) overrides.outputs = own.outputs
  const takes = takesOf(overrides.taken)
  return {
    key: own.key ?? keyOf(item, index),
    explicit: own.key !== undefined,
    overrides,
    needs: [...new Set([...(own.needs ?? []), ...takes])],
    takes,
  }
}

const takesOf = (taken: TakenInput[] = []) => [...new Set(taken.map(({ task }) => task))]

/** What the job's templates make of an item, where the task says nothing else. @throws SPEC_INVALID */
export function templated(
  { base, taken }: Pick<JobDocument, 'base' | 'taken'>,
  item: unknown,
  index: number,
  own: Pick<TaskSpec, 'command' | 'args' | 'env'> = {},
): TaskOverrides {
  const fill = (text: string) => fillTemplate(text, item, index)
  const command = own.command ?? (own.args === undefined ? filled(base.command, fill) : undefined)
  const args = own.args ?? (own.command === undefined ? filled(base.args, fill) : undefined)
  const overrides: TaskOverrides = {}
  if (command !== undefined && command !== base.command) overrides.command = command
  if (args !== undefined && args !== base.args) overrides.args = args
  const env = { ...base.env, ...own.env }
  const slots = Object.values(env).some((text) => text.includes('{{'))
  if (slots || own.env !== undefined) {
    overrides.env = Object.fromEntries(
      Object.entries(env).map(([name, text]) => [name, fill(text)]),
    )
  }
  if (taken !== undefined) overrides.taken = taken
  return overrides
}

function called(task: NonNullable<JobSpec['task']>, item: unknown, index: number) {
  try {
    return task(item, index)
  } catch (cause) {
    throw new ManyhandsError(
      'SPEC_INVALID',
      `task(${index}) threw: ${(cause as Error)?.message ?? cause}`,
      { cause },
    )
  }
}

function filled(argv: string[] | undefined, fill: (text: string) => string): string[] | undefined {
  // The same array when there is nothing to fill: then it need not travel with every task.
  return argv?.some((text) => text.includes('{{')) ? argv.map(fill) : argv
}

/** The key of a task that names none. */
export function keyOf(item: unknown, index: number): string {
  if (typeof item === 'number' || typeof item === 'bigint') return String(item)
  if (typeof item === 'string' && item.length > 0 && item.length <= 100) return item
  return String(index)
}
