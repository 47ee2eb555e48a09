import { z } from 'zod'
import type { Resources } from './resources.ts'

/** One runtime of an offer. */
export interface OfferedRuntime {
  name: string
  image: 'artifact' | 'named'
  isolation: string
  version?: string
}

/** What a host advertises. `where` and `rank` see exactly this. */
export interface Offer {
  v: 1
  peerId: string
  /** Identity of this state directory: a restarted host is the same host. */
  instance: string
  /** Grows with every change; the highest wins. */
  revision: number
  addresses: string[]
  /** The share: what the owner lends at most. Shorthands of `share` for filters. */
  cpus: number
  memory: number
  disk: number
  gpus: number
  share: Resources
  /** What is not reserved now. */
  free: Resources
  runtimes: OfferedRuntime[]
  /** Models of the GPUs that are lent; absent when there are none. */
  gpuModels?: { model: string; memoryBytes: number }[]
  platform: { os: string; arch: string; cpu: string }
  labels: Record<string, string>
  /** Attempts running now. */
  attempts: number
  draining: boolean
  /**
   * How long it is good without news, ms; absent: three minutes. Hosts of large networks say it less
   * often. 0: the host is gone.
   */
  ttlMs?: number
}

const resources = z.object({
  cpus: z.number().nonnegative(),
  memoryBytes: z.number().nonnegative(),
  diskBytes: z.number().nonnegative(),
  gpus: z.number().nonnegative(),
  pids: z.number().nonnegative(),
})

const short = z.string().max(256)

/** Unknown keys are dropped: a newer host may say more than we understand. */
export const offerSchema: z.ZodType<Offer> = z.object({
  v: z.literal(1),
  peerId: short,
  instance: short,
  revision: z.number().int().nonnegative(),
  addresses: z.array(z.string().max(1024)).max(32),
  cpus: z.number().nonnegative(),
  memory: z.number().nonnegative(),
  disk: z.number().nonnegative(),
  gpus: z.number().nonnegative(),
  share: resources,
  free: resources,
  runtimes: z
    .array(
      z.object({
        name: short,
        image: z.enum(['artifact', 'named']),
        isolation: short,
        version: short.optional(),
      }),
    )
    .max(16),
  gpuModels: z
    .array(z.object({ model: short, memoryBytes: z.number().nonnegative() }))
    .max(64)
    .optional(),
  platform: z.object({ os: short, arch: short, cpu: short }),
  labels: z.record(short, short).refine((labels) => Object.keys(labels).length <= 64),
  attempts: z.number().int().nonnegative(),
  draining: z.boolean(),
  ttlMs: z.number().nonnegative().optional(),
})

export const resourcesSchema: z.ZodType<Resources> = resources
