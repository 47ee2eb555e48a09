import { DEFAULT_RESOURCES, LIMITS, ManyhandsError } from '@manyhands/core'
import type { AdmissionRequest, HostPolicy } from '@manyhands/host'
import type { Context } from 'hono'
import { z } from 'zod'

const reason = z.string().max(1024).optional()
const byteSize = z.union([z.number(), z.string().max(64)])
const amount = z.number().nonnegative()

export const killBody = z.strictObject({ reason })
export const pauseBody = z.strictObject({ reason })
export const noBody = z.strictObject({})
export const limitBody = z
  .strictObject({
    cpus: z.number().positive().optional(),
    memory: byteSize.optional(),
    pids: z.number().int().positive().optional(),
  })
  .refine(
    (change) => Object.values(change).some((value) => value !== undefined),
    'name at least one of cpus, memory, pids',
  )
export const drainBody = z.strictObject({
  deadline: z.union([z.number().nonnegative(), z.string().max(64)]).optional(),
  reason,
  /** End the host's process when nothing runs any more. */
  stop: z.boolean().optional(),
})
export const gcBody = z.strictObject({ keepBytes: amount.optional() })
export const peerBody = z.strictObject({ peer: z.string().min(1).max(128) })

const section = z.record(z.string(), z.unknown()).optional()
/** Sections alone: what is in them is the host's to judge, in one place. */
export const policyBody = z
  .strictObject({ share: section, policy: section, schedule: section, transfer: section })
  .transform((document) => document as HostPolicy)

/** An admission request of which everything but client, runtime and image may be left out. */
export const explainBody: z.ZodType<AdmissionRequest> = z.strictObject({
  client: z.string().min(1).max(128),
  runtime: z.string().min(1).max(32),
  image: z.string().min(1).max(4096),
  resources: z
    .strictObject({
      cpus: amount.default(DEFAULT_RESOURCES.cpus),
      memoryBytes: amount.default(DEFAULT_RESOURCES.memoryBytes),
      diskBytes: amount.default(DEFAULT_RESOURCES.diskBytes),
      gpus: amount.default(DEFAULT_RESOURCES.gpus),
      pids: amount.default(DEFAULT_RESOURCES.pids),
    })
    .prefault({}),
  timeoutMs: amount.default(0),
  networkProfile: z
    .union([
      z.literal('none'),
      z.strictObject({ egress: z.array(z.string().max(255)).min(1).max(256) }),
    ])
    .default('none'),
  gpu: z
    .strictObject({ model: z.string().max(256).optional(), memoryBytes: amount.optional() })
    .optional(),
  artifacts: z
    .array(z.string().max(128))
    .max(LIMITS.inputsPerTask + 1)
    .optional(),
})

/** The checked JSON body of a request; an empty one counts as `{}`. @throws USAGE naming the field */
export async function readBody<Body>(context: Context, schema: z.ZodType<Body>): Promise<Body> {
  const text = await context.req.text()
  let value: unknown
  try {
    value = text.trim() === '' ? {} : JSON.parse(text)
  } catch {
    throw new ManyhandsError('USAGE', 'control: the body is not JSON', { hint: 'Send JSON.' })
  }
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const issues = result.error.issues.slice(0, 5).map((issue) => {
    const field = ['body', ...issue.path].map(String).join('.')
    return `${field}: ${issue.message}`
  })
  throw new ManyhandsError('USAGE', `control: ${issues.join('; ')}`, {
    hint: 'Correct the named field of the body.',
  })
}
