import { z } from 'zod'
import { type Duration, parseDuration } from './duration.ts'
import { ManyhandsError } from './errors.ts'
import { LIMITS } from './limits.ts'
import { pathBelow } from './path-below.ts'

/** Exit codes that a program may choose: those above are of shells, engines and signals. */
const LAST_CODE = 125
/** The longest time that a timer can wait, ms. */
const TIMER_MAX_MS = 2 ** 31 - 1

/**
 * What of a task leaves its host while it runs, and is at the same paths when the next attempt begins. A
 * checkpoint is complete: all files that the paths take as they were at one moment, in which the task stood
 * still. A program that replaces its files by renaming is never caught in the middle of one.
 */
export interface CheckpointSpec {
  /** Globs below /out, as `outputs`; what they take is the whole checkpoint. */
  paths: string[]
  /** From one checkpoint to the next, at least 1 s. Nothing is sent while nothing has changed. */
  every: Duration
  /**
   * An exit code, 1 to 125, which means "checkpointed, continue me": the task is sent out again from what
   * it left, which uses up none of `retry.attempts` and is no dispatch that is counted against it. A task
   * may do so 1,000 times (`LIMITS.continuationsPerTask`); leaving just what it began with is its own
   * failure.
   */
  continueCode?: number
}

/** A {@link CheckpointSpec}, resolved. */
export interface CheckpointWish {
  paths: string[]
  everyMs: number
  continueCode?: number
}

const paths = z
  .array(pathBelow('/out').refine(isWellFormed, 'a [ or { that is not closed, or a } too many'))
  .min(1)
  .max(LIMITS.outputsPerTask)
const continueCode = z.number().int().min(1).max(LAST_CODE).optional()

export const checkpointSchema: z.ZodType<CheckpointSpec> = z.strictObject({
  paths,
  every: z.union([z.number(), z.string()]),
  continueCode,
}) as unknown as z.ZodType<CheckpointSpec>

export const checkpointWishSchema: z.ZodType<CheckpointWish> = z.object({
  paths,
  everyMs: z.number().int().min(LIMITS.checkpointEveryMs).max(TIMER_MAX_MS),
  continueCode,
}) as unknown as z.ZodType<CheckpointWish>

/**
 * @param field - where the interval came from; the error names it
 * @throws SPEC_INVALID for an interval that is none, or too short
 */
export function resolveCheckpoint(
  { paths, every, continueCode }: CheckpointSpec,
  field = 'spec.checkpoint.every',
): CheckpointWish {
  const everyMs = parseDuration(every, field)
  if (everyMs < LIMITS.checkpointEveryMs) {
    throw new ManyhandsError(
      'SPEC_INVALID',
      `${field}: expected at least ${LIMITS.checkpointEveryMs} ms, got ${JSON.stringify(every)}`,
      { details: { fields: ['checkpoint.every'] } },
    )
  }
  const wish = { paths, everyMs: Math.min(everyMs, TIMER_MAX_MS) }
  return continueCode === undefined ? wish : { ...wish, continueCode }
}

/** What a job cannot have beside checkpoints, and why. */
const EXCLUDED = {
  split: 'parts of a range are cut anew when they are given up, and are other tasks then',
  warm: 'tasks of a warm sandbox find /out empty; give the job sandboxes of their own',
} as const

/** What of a spec excludes its checkpoints; undefined when nothing does. */
export function checkpointConflict(spec: { checkpoint?: unknown }): string | undefined {
  if (spec.checkpoint === undefined) return undefined
  const given = spec as Record<string, unknown>
  const fields = Object.keys(EXCLUDED) as (keyof typeof EXCLUDED)[]
  const field = fields.find((name) => given[name])
  return field && `checkpoint and ${field} exclude each other: ${EXCLUDED[field]}`
}

/** Whether all sets and alternatives of a glob are closed. */
function isWellFormed(glob: string): boolean {
  let depth = 0
  for (let at = 0; at < glob.length; at += 1) {
    const character = glob[at]
    if (character === '[') {
      // A ] in the first place is one of the set; a set does not reach beyond a slash.
      const negated = glob[at + 1] === '!' || glob[at + 1] === '^'
      const end = glob.indexOf(']', at + (negated ? 3 : 2))
      if (end < 0 || glob.slice(at, end).includes('/')) return false
      at = end
    } else if (character === '{') depth += 1
    else if (character === '}') depth -= 1
    if (depth < 0) return false
  }
  return depth === 0
}
