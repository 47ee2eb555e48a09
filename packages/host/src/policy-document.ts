import { ManyhandsError, parseByteSize, parseDuration, parseTransferCap } from '@manyhands/core'
import { z } from 'zod'
import type { HostPolicy } from './policy.ts'
import { parseWeekHours } from './week-hours.ts'

/** What an owner keeps in a file: everything of a policy that is no function, and the host's labels. */
export interface PolicyDocument extends HostPolicy {
  labels?: Record<string, string>
}

/** Entries of a list in a policy, and characters of each. */
const LIST_ENTRIES = 10_000
const ENTRY_LENGTH = 4096

/** An object of these settings alone: a rule that is written but not understood is never ignored. */
const settings = <Shape extends z.ZodRawShape>(shape: Shape) =>
  z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys'
        ? `unknown setting; expected one of ${Object.keys(shape).join(', ')}`
        : undefined,
  })

/** A text that one of our parsers understands, with the parser's own words when it does not. */
const parsed = <Value extends string | number>(
  type: z.ZodType<Value>,
  parse: (value: Value) => unknown,
) =>
  type.superRefine((value, issue) => {
    try {
      parse(value)
    } catch (error) {
      // Which setting it is, and what came, is said for all of them in one way.
      issue.addIssue((error as Error).message.replace(/^[^:]*: /, '').replace(/, got .*$/s, ''))
    }
  })

const amount = z.union([z.string(), z.number()])
const size = parsed(amount, (value) => parseByteSize(value))
const rate = parsed(amount, (value) => parseTransferCap(value, 'rate'))
const duration = parsed(amount, (value) => parseDuration(value))
const entry = z.string().min(1).max(ENTRY_LENGTH)
const entries = z.array(entry).max(LIST_ENTRIES)
const count = z.number().int().positive()

const share = settings({
  cpus: z.number().positive().optional(),
  memory: size.optional(),
  disk: size.optional(),
  keep: size.optional(),
  gpus: z.union([z.number().int().nonnegative(), entries, z.literal('all')]).optional(),
  pids: count.optional(),
})

const quota = settings({
  attempts: count.optional(),
  cpuHoursPerDay: z.number().positive().optional(),
  disk: size.optional(),
  transferPerDay: size.optional(),
})

const rules = {
  clients: entries.optional(),
  images: entries.optional(),
  imageCache: size.optional(),
  networkProfiles: z.array(z.enum(['none', 'egress'])).optional(),
  maxRuntime: duration.optional(),
  maxAttempts: count.optional(),
  quotas: settings({
    perClient: quota.optional(),
    clients: z.record(entry, quota).optional(),
  }).optional(),
}

const written = <Type>() =>
  z.custom<Type>((value) => typeof value === 'function', { error: 'expected a function' })
const functions = {
  admit: written<NonNullable<NonNullable<HostPolicy['policy']>['admit']>>().optional(),
  onUsage: written<NonNullable<NonNullable<HostPolicy['policy']>['onUsage']>>().optional(),
}

const schedule = settings({
  hours: parsed(z.string(), (text) => parseWeekHours(text)).optional(),
  onlyWhenIdle: duration.optional(),
  notOnBattery: z.boolean().optional(),
  pauseWhile: z.array(entry).max(256).optional(),
  evictAfter: duration.optional(),
})

const rates = { upload: rate.optional(), download: rate.optional() }
const transfer = settings({
  ...rates,
  perPeer: settings(rates).optional(),
  daily: settings({ upload: size.optional(), download: size.optional() }).optional(),
  giveToHosts: z.boolean().optional(),
})

const sections = {
  share: share.optional(),
  schedule: schedule.optional(),
  transfer: transfer.optional(),
}
const policySchema = settings({
  ...sections,
  policy: settings({ ...rules, ...functions }).optional(),
})
const documentSchema = settings({
  ...sections,
  policy: settings(rules).optional(),
  labels: z.record(z.string().max(256), z.string().max(256)).optional(),
  // The rules of `policy` may stand at the top, as in files of earlier versions.
  ...rules,
})

/**
 * Checks the sections of a policy, functions included, and returns a copy.
 *
 * @throws CONFIG_INVALID naming the setting, what was expected and what came
 */
export function checkPolicy(value: HostPolicy): HostPolicy {
  return read(policySchema, value)
}

/**
 * Reads a policy that was written as data, such as the content of a policy file: the sections `share`,
 * `policy`, `schedule` and `transfer`, and `labels`. Rules of `policy` may stand at the top as well.
 *
 * @throws CONFIG_INVALID naming the setting, what was expected and what came
 */
export function parsePolicyDocument(value: unknown): PolicyDocument {
  const { share, policy, schedule, transfer, labels, ...flat } = read(documentSchema, value)
  const joined = { ...policy, ...flat }
  return {
    ...(share === undefined ? {} : { share }),
    ...(Object.keys(joined).length === 0 ? {} : { policy: joined }),
    ...(schedule === undefined ? {} : { schedule }),
    ...(transfer === undefined ? {} : { transfer }),
    ...(labels === undefined ? {} : { labels }),
  }
}

function read<Value>(schema: z.ZodType<Value>, value: unknown): Value {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const issues = result.error.issues.slice(0, 5).flatMap((issue) => {
    const path = issue.path.map(String)
    if (issue.code !== 'unrecognized_keys') return [{ path, message: issue.message }]
    return issue.keys.map((key) => ({ path: [...path, key], message: issue.message }))
  })
  // One typing error needs one line; a file that is no policy at all would otherwise be told whole.
  const lines = issues.slice(0, 5).map(({ path, message }) => {
    const got = path.reduce<unknown>(
      (at, key) => (at as Record<string, unknown> | undefined)?.[key],
      value,
    )
    return `${path.join('.') || 'policy'}: ${message}, got ${shown(got)}`
  })
  throw new ManyhandsError('CONFIG_INVALID', lines.join('; '), {
    details: { field: issues[0]?.path.join('.') ?? '' },
  })
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 100 ? `${text.slice(0, 100)}…` : text
}
