import { z } from 'zod'
import { LIMITS } from '../limits.ts'
import { digestSchema } from './identifiers.ts'

/** Files of a task that belong together, as they were at one moment: a tree, its paths relative to /out. */
export interface Checkpoint {
  /** Digest of the encoded manifest. */
  root: string
  /** Bytes of all files. */
  bytes: number
}

/** A checkpoint that its host has and tells of. */
export interface AnnouncedCheckpoint extends Checkpoint {
  /** Grows from one checkpoint of an attempt to the next, also over a restart of its host. */
  seq: number
}

const bytes = z.number().int().nonnegative().max(LIMITS.checkpointBytes)

export const checkpointSchema: z.ZodType<Checkpoint> = z.object({ root: digestSchema, bytes })

export const announcedCheckpointSchema: z.ZodType<AnnouncedCheckpoint> = z.object({
  seq: z.number().int().positive(),
  root: digestSchema,
  bytes,
})
