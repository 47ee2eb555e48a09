import { z } from 'zod'
import type { GpuNeed } from '../gpu.ts'
import { envSchema, pathBelow, secretNameSchema } from '../job-spec.ts'
import { LIMITS } from '../limits.ts'
import { resourcesSchema } from '../offer.ts'
import type { Resources } from '../resources.ts'

/** An input on the wire: the manifest's digest and where the artifact goes below /in. */
export interface WireInput {
  path: string
  root: string
  /** Its size as the client says, so that progress has a total before the last one is begun. */
  bytes?: number
}

/** An image of the client's engine. */
export interface OfferedImage {
  /** What the client calls it, for people: it proves nothing. */
  name: string
  /** About what it takes, bytes. What travels is counted exactly, and refused when it is too much. */
  bytes: number
}

/** What all tasks of a job have in common, resolved by the client: nothing in it names a local path. */
export interface AttemptSpec {
  runtime: string
  /** A tag or digest of the host's engine, or `artifact:sha256:…` of a single file. */
  image: string
  /**
   * What `image` means to the client, when that is `sha256:…` of an image which the client can give
   * by `attempt.image`.
   */
  offeredImage?: OfferedImage
  command?: string[]
  args?: string[]
  env: Record<string, string>
  inputs: WireInput[]
  outputs: string[]
  resources: Resources
  /** End of the attempt's run, ms; 0: the host's own maximum. */
  timeoutMs: number
  networkProfile: 'none' | { egress: string[] }
  /** What each of `resources.gpus` has to be; absent: any will do. */
  gpu?: GpuNeed
  /** Names of secrets; their values travel apart, when the attempt is staged, and are stored nowhere. */
  secrets?: string[]
  /** `false`: outputs are collected at the end alone. */
  streamOutputs?: boolean
}

/** One attempt of an offer call: identity, and what differs from the job's spec. */
export interface WireAttempt {
  /** `taskKey.epoch`, unique for ever. */
  id: string
  task: string
  epoch: number
  command?: string[]
  args?: string[]
  env?: Record<string, string>
  inputs?: WireInput[]
  outputs?: string[]
}

export const digestSchema = z.string().regex(/^sha256:[0-9a-f]{64}$/)
const strings = z.array(z.string().max(LIMITS.argvBytes)).max(LIMITS.argvEntries)
const inputs = z
  .array(
    z.object({
      path: pathBelow('/in'),
      root: digestSchema,
      bytes: z.number().nonnegative().max(Number.MAX_SAFE_INTEGER).optional(),
    }),
  )
  .max(LIMITS.inputsPerTask)
const outputs = z.array(pathBelow('/out')).max(LIMITS.outputsPerTask)

export const attemptSpecSchema: z.ZodType<AttemptSpec> = z.object({
  runtime: z.string().max(64),
  image: z.string().min(1).max(4096),
  offeredImage: z
    .object({
      name: z.string().max(LIMITS.imageNameBytes),
      bytes: z.number().int().nonnegative(),
    })
    .optional(),
  command: strings.optional(),
  args: strings.optional(),
  env: envSchema,
  inputs,
  outputs,
  resources: resourcesSchema,
  timeoutMs: z.number().int().nonnegative(),
  networkProfile: z.union([
    z.literal('none'),
    z.object({ egress: z.array(z.string().max(255)).max(256) }),
  ]),
  gpu: z
    .object({
      model: z.string().max(128).optional(),
      memoryBytes: z.number().nonnegative().optional(),
    })
    .optional(),
  secrets: z.array(secretNameSchema).max(LIMITS.secretsPerJob).optional(),
  streamOutputs: z.boolean().optional(),
})

/** Ids become file and container names on the host: nothing but letters, digits and dashes in them. */
export const attemptIdSchema = z.string().regex(/^[a-z0-9-]{1,80}\.\d{1,9}$/)
export const jobIdSchema = z.string().regex(/^[a-z0-9-]{1,64}$/)

export const wireAttemptSchema: z.ZodType<WireAttempt> = z.object({
  id: attemptIdSchema,
  task: z.string().max(256),
  epoch: z.number().int().positive(),
  command: strings.optional(),
  args: strings.optional(),
  env: envSchema.optional(),
  inputs: inputs.optional(),
  outputs: outputs.optional(),
})
