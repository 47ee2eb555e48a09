import type { z } from 'zod'
import { ManyhandsError } from './errors.ts'
import type { JobSpec, TaskSpec } from './job-spec.ts'
import { jobSpecSchema, taskKeySchema, taskSpecSchema } from './job-spec-schema.ts'

/**
 * Checks a job spec and returns it unchanged in meaning.
 *
 * @throws SPEC_INVALID naming the field, what was expected and what came
 */
export function validateJobSpec<Item>(spec: JobSpec<Item>): JobSpec<Item> {
  return check(jobSpecSchema, spec, 'spec') as JobSpec<Item>
}

/** Checks what a `task` function returned for one item. @throws SPEC_INVALID */
export function validateTaskSpec(spec: TaskSpec, index: number): TaskSpec {
  if (typeof (spec as { then?: unknown } | null | undefined)?.then === 'function') {
    throw new ManyhandsError(
      'SPEC_INVALID',
      `task(${index}) returned a promise, expected an object`,
    )
  }
  // What is an object of another kind (a date, a map) would pass for one without fields.
  if (typeof spec === 'object' && spec !== null && !isPlain(spec)) {
    throw new ManyhandsError(
      'SPEC_INVALID',
      `task(${index}) returned ${show(spec)}, expected an object`,
    )
  }
  // Others may need it by its key, whatever else is wrong with it.
  const key = taskKeySchema.safeParse((spec as Partial<TaskSpec> | null | undefined)?.key).data
  return check(taskSpecSchema, spec, `task(${index})`, key) as TaskSpec
}

function isPlain(value: object): boolean {
  return Object.prototype.toString.call(value) === '[object Object]'
}

function check(schema: z.ZodType, value: unknown, subject: string, key?: string): unknown {
  const result = schema.safeParse(value, { reportInput: true })
  if (result.success) return result.data
  const lines = result.error.issues.slice(0, 5).map((issue) => describe(issue, subject))
  throw new ManyhandsError('SPEC_INVALID', lines.join('; '), {
    details: {
      fields: result.error.issues.map((issue) => issue.path.join('.')),
      ...(key === undefined ? {} : { key }),
    },
  })
}

function describe(issue: z.core.$ZodIssue, subject: string): string {
  const field = issue.path.length === 0 ? subject : `${subject}.${issue.path.map(String).join('.')}`
  if (issue.code === 'unrecognized_keys') {
    return `${field}: unknown field ${issue.keys.map((key) => `'${key}'`).join(', ')}`
  }
  // What is wrong with a secret is said without its value.
  if (issue.path[0] === 'secrets') return `${field}: ${issue.message}`
  return `${field}: ${issue.message}, got ${show(issue.input)}`
}

function show(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (typeof value === 'function') return 'a function'
  let shown: string | undefined
  try {
    shown = JSON.stringify(value)
  } catch {
    // A big integer or a cycle inside; the value's own toString is the caller's and may be no function.
    shown = undefined
  }
  shown ??= typeof value === 'object' ? 'an object' : String(value)
  return shown.length > 120 ? `${shown.slice(0, 117)}…` : shown
}
