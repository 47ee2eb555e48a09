import { z } from 'zod'
import type { Usage } from '../usage.ts'

const n = z.number().nonnegative()

export const usageSchema: z.ZodType<Usage> = z.object({
  elapsedMs: n,
  cpu: n,
  cpuMs: n,
  memory: n,
  memoryPeak: n,
  pids: n,
  disk: n,
  netIn: n,
  netOut: n,
  gpu: n.optional(),
})
