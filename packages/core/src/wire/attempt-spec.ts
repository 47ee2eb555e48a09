import { z } from 'zod'
import { type CheckpointWish, checkpointWishSchema } from '../checkpoint-spec.ts'
import type { GpuNeed } from '../gpu.ts'
import { envSchema, secretNameSchema } from '../job-spec-schema.ts'
import { LIMITS } from '../limits.ts'
import { resourcesSchema } from '../offer.ts'
import { pathBelow } from '../path-below.ts'
import type { Resources } from '../resources.ts'
import { type Checkpoint, checkpointSchema } from './checkpoint.ts'
import { attemptIdSchema, digestSchema, nonceSchema } from './identifiers.ts'

/** An input on the wire: the manifest's digest and where the artifact goes below /in. */
export interface WireInput {
  path: string
  root: string
  /** Its size as the client says, so that progress has a total before the last one is begun. */
  bytes?: number
  /** Hosts that have it and were told to give it; whoever asks none of them asks the client. */
  from?: ArtifactHolder[]
}

/** A peer that has an artifact, and where it can be reached. */
export interface ArtifactHolder {
  peer: string
  addresses: string[]
}

/** An image of the client's engine. */
export interface OfferedImage {
  /** What the client calls it, for people: it proves nothing. */
  name: string
  /** About what it takes, bytes. What travels is counted exactly, and refused when it is too much. */
  bytes: number
}

/** How the sandboxes of a job are kept for its next tasks. */
export interface WarmWish {
  /** An argv that runs once in each, before its first task. */
  setup?: string[]
  /** Tasks after which it ends. */
  tasksPerSandbox: number
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
  /** Tasks of the job follow each other in one sandbox; absent: each has its own. */
  warm?: WarmWish
  /** What leaves the host while it runs. */
  checkpoint?: CheckpointWish
  /** What is at /out before it begins; only of one attempt, never of all of a job. */
  restore?: Checkpoint
}

/** One attempt of an offer call: identity, and what differs from the job's spec. */
export interface WireAttempt {
  /** `taskKey.epoch`, unique for ever. */
  id: string
  task: string
  epoch: number
  /** What the host's receipt has to repeat, 16 random-looking bytes in hexadecimal. Without, there is none. */
  nonce?: string
  command?: string[]
  args?: string[]
  env?: Record<string, string>
  inputs?: WireInput[]
  outputs?: string[]
  /** The checkpoint that it begins with; its host asks the client for it. */
  restore?: Checkpoint
}

/** What one attempt says differently from the spec of its job. */
export type AttemptOverrides = Pick<
  WireAttempt,
  'command' | 'args' | 'env' | 'inputs' | 'outputs' | 'restore'
>

/** The job's spec with what one attempt says differently. */
export function attemptSpecOf(shared: AttemptSpec, own: AttemptOverrides): AttemptSpec {
  const { command, args, env, inputs, outputs, restore } = own
  // Most attempts say nothing: they share one object, which is journaled and hashed once.
  if ((command ?? args ?? env ?? inputs ?? outputs ?? restore) === undefined) return shared
  return {
    ...shared,
    command: command ?? (args === undefined ? shared.command : undefined),
    args: args ?? (command === undefined ? shared.args : undefined),
    env: env ?? shared.env,
    inputs: inputs ?? shared.inputs,
    outputs: outputs ?? shared.outputs,
    ...(restore === undefined ? {} : { restore }),
  }
}

const strings = z.array(z.string().max(LIMITS.argvBytes)).max(LIMITS.argvEntries)
export const wireInputsSchema = z
  .array(
    z.object({
      path: pathBelow('/in'),
      root: digestSchema,
      bytes: z.number().nonnegative().max(Number.MAX_SAFE_INTEGER).optional(),
      from: z
        .array(
          z.object({
            peer: z.string().max(128),
            addresses: z.array(z.string().max(LIMITS.addressBytes)).max(LIMITS.addressesPerPeer),
          }),
        )
        .max(LIMITS.holdersPerInput)
        .optional(),
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
  inputs: wireInputsSchema,
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
  warm: z
    .object({
      setup: strings.min(1).optional(),
      tasksPerSandbox: z.number().int().positive().max(LIMITS.tasksPerSandbox),
    })
    .optional(),
  checkpoint: checkpointWishSchema.optional(),
  restore: checkpointSchema.optional(),
})

export const wireAttemptSchema: z.ZodType<WireAttempt> = z.object({
  id: attemptIdSchema,
  task: z.string().max(256),
  epoch: z.number().int().positive(),
  nonce: nonceSchema.optional(),
  command: strings.optional(),
  args: strings.optional(),
  env: envSchema.optional(),
  inputs: wireInputsSchema.optional(),
  outputs: outputs.optional(),
  restore: checkpointSchema.optional(),
})
