import type {
  AcceptSpec,
  AttemptSpec,
  Comparator,
  ComparatorFunction,
  HostSelection,
  JobSpec,
  VerifySpec,
} from '@manyhands/core'

import type { TakenInput } from './taken-input.ts'

/** Parts of a spec that are no data: they live in the process that gave them. */
export const HOOKS = [
  'tasks',
  'task',
  'validate',
  'hosts.where',
  'hosts.rank',
  'secrets',
  'verify.compare',
] as const
export type HookName = (typeof HOOKS)[number]

/** What of a job is data, resolved: enough to go on with it in another process. */
export interface JobDocument {
  v: 1
  /** What progress counts. */
  unit: string
  base: AttemptSpec
  /** Inputs of every task that another task writes. */
  taken?: TakenInput[]
  /** Times a task's own failure may end an attempt. */
  failures: number
  priority?: number
  /** After how many times as long as usual a task runs a second time. */
  speculateAfter?: number
  /** Whether its range is cut as hosts take it. */
  split?: boolean
  /** How many items are in the journal, to be split; else its range is. */
  items?: number
  /** How results are checked; a comparator that is a function is a hook. */
  verify?: Omit<VerifySpec, 'compare'> & { compare?: Exclude<Comparator, ComparatorFunction> }
  /** When results are handed out. */
  accept?: AcceptSpec
  /** What hosts do not know, so that a check looks as any other attempt. */
  salt?: string
  /** Whether outputs that other tasks take come to the client all the same. */
  fetchOutputs?: boolean
  /** How long the job waits while no host fits; absent: for ever. */
  waitMs?: number
  /** Known beforehand for ranges and arrays. */
  total?: number
  /** Its source, when that is a text. */
  range?: string
  hosts: Pick<HostSelection, 'only' | 'deny' | 'max' | 'perHost'>
  /** What the image is called in this client's engine, when it is one of that. */
  image?: string
  /** What the spec had that is no data. */
  hooks: HookName[]
}

/** What of a job lives in this process alone. */
export type JobHooks = Pick<JobSpec, 'task' | 'validate' | 'secrets'> & {
  tasks?: JobSpec['tasks']
  compare?: ComparatorFunction
} & Pick<HostSelection, 'where' | 'rank'>

/** What a caller gives again to a job that another process submitted. */
export type JobResumption<Item = unknown> = Partial<
  Pick<JobSpec<Item>, 'tasks' | 'task' | 'validate' | 'secrets'>
> & {
  hosts?: Pick<HostSelection, 'where' | 'rank'>
  verify?: Pick<VerifySpec, 'compare'>
  /** Paths of inputs that a job from another machine has, and that no host could give. */
  inputs?: string[]
}

export function hooksOf<Item>(spec: Omit<JobResumption<Item>, 'inputs'>): JobHooks {
  const { tasks, task, validate, secrets, hosts, verify } = spec
  const compare = typeof verify?.compare === 'function' ? verify.compare : undefined
  const { where, rank } = hosts ?? {}
  return { tasks, task, validate, secrets, where, rank, compare } as JobHooks
}

/** Names of what a spec has that is no data. */
export function hookNames(hooks: JobHooks): HookName[] {
  return HOOKS.filter((name) => {
    const given = hooks[keyOf(name)]
    // A text is data, and whatever else was read is in the journal.
    return given !== undefined && typeof given !== 'string'
  })
}

/** What a job cannot go on without. The rank of hosts is a wish, and what is read needs no source. */
export function missingHooks(
  document: JobDocument,
  hooks: JobHooks,
  sourceDone: boolean,
): HookName[] {
  return document.hooks.filter((name) => {
    if (name === 'hosts.rank' || hooks[keyOf(name)] !== undefined) return false
    return name === 'tasks' || name === 'task' ? !sourceDone : true
  })
}

function keyOf(name: HookName): keyof JobHooks {
  return name.replace(/^.*\./, '') as keyof JobHooks
}
