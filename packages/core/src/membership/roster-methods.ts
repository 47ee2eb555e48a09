import { z } from 'zod'
import { LIMITS } from '../limits.ts'
import { peerBindingSchema } from './peer-binding.ts'
import { documentIdSchema } from './revocation.ts'

const documents: z.ZodType<Uint8Array[]> = z
  .array(
    z
      .instanceof(Uint8Array)
      .refine(({ length }) => length <= LIMITS.rosterDocumentBytes, 'is too large'),
  )
  .max(LIMITS.rosterDocumentsPerCall)

/** What members of a private network ask each other about who is a member. */
export const ROSTER_METHODS = {
  /** Anyone → anyone: this is what I have; is it what you have? */
  'roster.compare': {
    params: z.object({ digest: documentIdSchema }),
    result: z.object({ digest: documentIdSchema }),
  },
  /** Anyone → anyone: the names of your documents, in order, those behind a name. */
  'roster.list': {
    params: z.object({ after: documentIdSchema.optional() }),
    result: z.object({
      ids: z.array(documentIdSchema).max(LIMITS.rosterIdsPerCall),
      more: z.boolean(),
    }),
  },
  /** Anyone → anyone: these documents; those that fit into one answer, in order. */
  'roster.get': {
    params: z.object({ ids: z.array(documentIdSchema).max(LIMITS.rosterDocumentsPerCall) }),
    result: z.object({ documents }),
  },
  /** Anyone → anyone: take these. */
  'roster.put': { params: z.object({ documents }), result: z.object({}) },
  /** Anyone → anyone: which peers of members have you seen? The latest ones. */
  'roster.peers': {
    params: z.object({}),
    result: z.object({ bindings: z.array(peerBindingSchema).max(LIMITS.rosterPeersPerCall) }),
  },
} as const
