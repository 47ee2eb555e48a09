import { ManyhandsError, parseByteSize, parseDuration } from '@manyhands/core'
import type { PolicyOptions, ShareOptions } from '@manyhands/host'
import { z } from 'zod'
import { readJsonFile } from '../json-file.ts'

/** What an owner keeps in a file: who may use this host, for what, and how much of it. */
export interface PolicyFile extends Omit<PolicyOptions, 'admit'> {
  share?: ShareOptions
  labels?: Record<string, string>
}

/** A text that a parser of core understands, with the parser's own words when it does not. */
const parsed = (parse: (value: string | number) => unknown) =>
  z.union([z.string(), z.number()]).superRefine((value, issue) => {
    try {
      parse(value)
    } catch (error) {
      issue.addIssue((error as Error).message.replace(/^[^:]*: /, ''))
    }
  })
const size = parsed((value) => parseByteSize(value))
const texts = z.array(z.string().min(1).max(4096)).max(10_000)
const count = z.number().int().positive()

const policy = {
  clients: texts.optional(),
  images: texts.optional(),
  networkProfiles: z.array(z.enum(['none', 'egress'])).optional(),
  maxRuntime: parsed((value) => parseDuration(value)).optional(),
  maxAttempts: count.optional(),
}
const schema = z.strictObject({
  ...policy,
  // The shape that createHost takes is understood too, so that a policy can be moved from a program.
  policy: z.strictObject(policy).optional(),
  share: z
    .strictObject({
      cpus: z.number().positive().optional(),
      memory: size.optional(),
      disk: size.optional(),
      gpus: z.number().int().nonnegative().optional(),
      pids: count.optional(),
    })
    .optional(),
  labels: z.record(z.string().max(256), z.string().max(256)).optional(),
})

/** @throws CONFIG_INVALID naming file and field */
export async function readPolicyFile(path: string): Promise<PolicyFile> {
  const value = await readJsonFile(path, {
    unreadable: 'CONFIG_INVALID',
    invalid: 'CONFIG_INVALID',
  })
  const result = schema.safeParse(value)
  if (!result.success) {
    const lines = result.error.issues.slice(0, 5).map((issue) => {
      const unknown = issue.code === 'unrecognized_keys' ? issue.keys : undefined
      const field = issue.path.map(String).join('.') || 'policy'
      return unknown === undefined
        ? `${field}: ${issue.message}`
        : `${field}: unknown field ${unknown.map((key) => `'${key}'`).join(', ')}`
    })
    throw new ManyhandsError('CONFIG_INVALID', `${path}: ${lines.join('; ')}`, {
      details: { fields: result.error.issues.map((issue) => issue.path.join('.')) },
    })
  }
  const { policy: nested, ...flat } = result.data
  return { ...nested, ...flat }
}
