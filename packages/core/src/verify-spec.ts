import { z } from 'zod'
import { LIMITS } from './limits.ts'
import type { TaskResult } from './task-result.ts'

/** Which files of a result are compared with tolerances, and what of the others. */
export interface ComparedFiles {
  /** Globs below /out; default: all files of the comparator's kind. At least one has to be there. */
  files?: string[]
  /** The other files: `'bytes'` (default) have to be equal, `'ignore'` may differ or be missing. */
  others?: 'bytes' | 'ignore'
}

/** Equal outputs, byte by byte. Of results without outputs, and with `stdout`, also the end of stdout. */
export interface BytesComparator {
  kind: 'bytes'
  stdout?: boolean
}

/** JSON documents: numbers within `absolute + relative · max(|a|, |b|)`, everything else exactly. */
export interface JsonComparator extends ComparedFiles {
  kind: 'json'
  /** Default 0. */
  absolute?: number
  /** Below 1, default 1e-9. */
  relative?: number
}

/** PNG images of one size: a pixel differs when one of its channels (0 to 1) does by more than `threshold`. */
export interface ImageComparator extends ComparedFiles {
  kind: 'image'
  /** Default 0.016. */
  threshold?: number
  /** Share of pixels that may differ, default 0.01. */
  pixels?: number
}

/**
 * Molecular dynamics: structures and trajectories as GROMACS writes them for people (.gro, .pdb) by the
 * RMSD of their atoms after the best superposition, series (.xvg) by the mean of each column.
 */
export interface MdComparator extends ComparedFiles {
  kind: 'md'
  /** Greatest RMSD of a frame, nm; default 0.2. */
  rmsd?: number
  /** How far means may be apart, as a share of the larger one; below 1, default 0.02. */
  energy?: number
  /** The same as a number in the column's own unit, added to it; default 0. */
  energyAbsolute?: number
}

/** Whether two results of one task are the same. It has to be symmetric. */
export type ComparatorFunction = (a: TaskResult, b: TaskResult) => boolean | Promise<boolean>

/** How results of one task are compared; a name alone stands for its defaults. */
export type Comparator =
  | 'bytes'
  | 'json'
  | 'image'
  | 'md'
  | BytesComparator
  | JsonComparator
  | ImageComparator
  | MdComparator
  | ComparatorFunction

/** How results of hosts that nobody vouches for are checked. */
export interface VerifySpec {
  /** Results that have to agree where a task is checked, 2 to 5; default 2. */
  replicas?: number
  /** Least share of the results of a host that is checked however well it did, 0 to 1; default 0.03. */
  sample?: number
  /** Default `'bytes'`. */
  compare?: Comparator
  /**
   * How far apart hosts have to be to vouch for each other. `'networks'` (default): in no /24 (IPv6: /48) at
   * which this client is connected to both, and not invited by the same member. `'hosts'`: two computers are
   * enough; for a network whose owner is trusted, such as one's own.
   */
  apart?: 'networks' | 'hosts'
}

/**
 * When results are handed out: `'provisional'` as they come (one that turns out wrong is retracted and
 * another one follows), `'job-end'` when all checks of the job are done, `'quorum'` when the replicas of
 * the very task agree. `'latest'`: as they come, and of the newest attempt alone.
 */
export type AcceptSpec = 'provisional' | 'job-end' | 'quorum' | 'latest'

const tolerance = z.number().nonnegative()
const share = z.number().min(0).max(1)
const below1 = z.number().min(0).lt(1)
const files = {
  files: z
    .array(z.string().min(1).max(LIMITS.pathBytes))
    .min(1)
    .max(LIMITS.outputsPerTask)
    .optional(),
  others: z.enum(['bytes', 'ignore']).optional(),
}

export const comparatorSchema: z.ZodType<Comparator> = z.union([
  z.enum(['bytes', 'json', 'image', 'md']),
  z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('bytes'), stdout: z.boolean().optional() }),
    z.strictObject({
      kind: z.literal('json'),
      absolute: tolerance.optional(),
      relative: below1.optional(),
      ...files,
    }),
    z.strictObject({
      kind: z.literal('image'),
      threshold: below1.optional(),
      pixels: below1.optional(),
      ...files,
    }),
    z.strictObject({
      kind: z.literal('md'),
      rmsd: tolerance.optional(),
      energy: below1.optional(),
      energyAbsolute: tolerance.optional(),
      ...files,
    }),
  ]),
  z.custom<ComparatorFunction>((value) => typeof value === 'function', {
    error: 'expected a comparator or a function',
  }),
])

/** For the spec's `verify`. */
export const verifySchema: z.ZodType<VerifySpec> = z.strictObject({
  replicas: z.number().int().min(2).max(LIMITS.resultsCompared).optional(),
  sample: share.optional(),
  compare: comparatorSchema.optional(),
  apart: z.enum(['networks', 'hosts']).optional(),
})

/** For the spec's `accept`. */
export const acceptSchema: z.ZodType<AcceptSpec> = z.enum([
  'provisional',
  'job-end',
  'quorum',
  'latest',
])
