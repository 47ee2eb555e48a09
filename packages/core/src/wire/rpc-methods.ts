import { z } from 'zod'
import { secretNameSchema } from '../job-spec-schema.ts'
import { LIMITS } from '../limits.ts'
import { ROSTER_METHODS } from '../membership/roster-methods.ts'
import { offerSchema } from '../offer.ts'
import { attemptPhaseSchema, errorDocumentSchema } from './attempt-event.ts'
import { attemptSpecSchema, wireAttemptSchema, wireInputsSchema } from './attempt-spec.ts'
import { announcedCheckpointSchema, checkpointSchema } from './checkpoint.ts'
import { attemptIdSchema, digestSchema, jobIdSchema, nonceSchema } from './identifiers.ts'
import { peerIdSchema, signedJobClaimSchema } from './job-claim.ts'

const ids = z.array(attemptIdSchema).max(LIMITS.attemptsPerClient)
const reason = z.string().max(1024)
const empty = z.object({})
const clock = z.number().nonnegative()
const bytes: z.ZodType<Uint8Array> = z.instanceof(Uint8Array)
const addressesSchema = z.array(z.string().max(LIMITS.addressBytes)).max(LIMITS.addressesPerPeer)

/**
 * Every request that one peer may make of another, with the shape of what is asked and answered.
 * Both directions share one stream; who answers what is said per method. A repeated request is
 * answered as the first one was: every method is idempotent.
 */
export const RPC_METHODS = {
  /** Client → host: opens the relation; proposes the lease's heartbeat, the host answers what holds. */
  hello: {
    params: z.object({
      v: z.literal(1),
      agent: z.string().max(256),
      heartbeatMs: z.number().positive(),
      /** What the asker's clock says, for people: nothing is decided by it. */
      clockMs: clock.optional(),
    }),
    result: z.object({
      offer: offerSchema,
      heartbeatMs: z.number().positive(),
      clockMs: clock.optional(),
    }),
  },
  /** Client → host: the offer as it is now. */
  'offer.get': { params: empty, result: z.object({ offer: offerSchema }) },
  /** Anyone → anyone: which hosts do you know? Hosts answer with their own offer and those believed. */
  'offer.list': {
    params: empty,
    result: z.object({ offers: z.array(offerSchema).max(LIMITS.offersPerAnswer) }),
  },
  /**
   * Anyone → anyone: which hosts do you know, as they have signed it, the newest first? `limit` bounds a
   * page; the next one is asked for `before` what the last one said. `since` a mark of the same `epoch`
   * asks for what is newer; `waitMs` lets the answer wait until there is some.
   */
  'offer.page': {
    params: z.object({
      epoch: z.string().max(64).optional(),
      since: z.number().int().nonnegative().optional(),
      before: z.number().int().nonnegative().optional(),
      limit: z.number().int().min(1).max(LIMITS.offersPerAnswer).optional(),
      waitMs: z.number().int().nonnegative().max(LIMITS.offerWaitMs).optional(),
    }),
    result: z.object({
      /** Marks of another epoch mean nothing. */
      epoch: z.string().max(64),
      mark: z.number().int().nonnegative(),
      announcements: z.array(bytes).max(LIMITS.offersPerAnswer),
      /** How long ago each was announced, as far as is known. */
      agesMs: z.array(z.number().int().nonnegative()).max(LIMITS.offersPerAnswer),
      before: z.number().int().nonnegative().optional(),
    }),
  },
  /** Client → host: please run these. Answered only after the reservations are durable. */
  'attempt.offer': {
    params: z.object({
      job: jobIdSchema,
      jobName: z.string().max(200),
      /** Public key of the job: who has the private one may continue it from another machine. */
      owner: peerIdSchema.optional(),
      spec: attemptSpecSchema,
      /** `true`: the client reads proofs in the place of receipts, signed many at once. */
      proofs: z.boolean().optional(),
      attempts: z.array(wireAttemptSchema).min(1).max(LIMITS.attemptsPerOffer),
    }),
    result: z.object({
      answers: z.array(
        z.object({
          id: attemptIdSchema,
          accepted: z.boolean(),
          error: errorDocumentSchema.optional(),
        }),
      ),
      offer: offerSchema,
    }),
  },
  /** Client → host: end these; unknown ones are ignored. */
  'attempt.cancel': { params: z.object({ ids, reason }), result: empty },
  /** Client → host: these ends are durable here, their results may be deleted. */
  'attempt.acknowledge': { params: z.object({ ids }), result: empty },
  /**
   * Client → host: another host may have these parts of what my attempts wrote, for a task that takes them
   * as inputs. They stay until the attempts are acknowledged. The answer names the artifacts in the same
   * order; a part that is not there is left out of it, as null.
   */
  'attempt.share': {
    params: z.object({
      peer: z.string().max(128),
      parts: z
        .array(z.object({ id: attemptIdSchema, path: z.string().max(LIMITS.pathBytes) }))
        .max(LIMITS.sharesPerCall),
    }),
    result: z.object({
      roots: z.array(digestSchema.nullable()).max(LIMITS.sharesPerCall),
    }),
  },
  /**
   * Client → host: these attempts are about to be ended; make a last checkpoint of each that can have one.
   * The answer names, in the same order, the newest that this client has not taken, or null.
   */
  'attempt.checkpoint': {
    params: z.object({ ids }),
    result: z.object({
      checkpoints: z.array(announcedCheckpointSchema.nullable()).max(LIMITS.attemptsPerClient),
    }),
  },
  /** Client → host: these checkpoints are durable here or not wanted, and need not be kept for me. */
  'attempt.checkpointed': {
    params: z.object({
      taken: z
        .array(z.object({ id: attemptIdSchema, seq: z.number().int().positive() }))
        .max(LIMITS.attemptsPerClient),
    }),
    result: empty,
  },
  /** Client → host: which attempts of mine do you hold? Asked after every new connection. */
  'attempt.inventory': {
    params: z.object({ job: jobIdSchema.optional() }),
    result: z.object({
      attempts: z.array(
        z.object({ id: attemptIdSchema, job: jobIdSchema, phase: attemptPhaseSchema }),
      ),
    }),
  },
  /** Client → host: I am going to claim a job. Answers a number to sign, and the claim that holds so far. */
  'job.challenge': {
    params: z.object({ owner: peerIdSchema }),
    result: z.object({
      nonce: nonceSchema,
      claim: signedJobClaimSchema.optional(),
    }),
  },
  /**
   * Client → host: I continue a job that another client began, as its key says. Its attempts there are mine
   * from now on; the answer names them, the client that had offered each, and what each was given: `inputs` is
   * left out of those that do not fit into `claimedInputBytes`.
   */
  'job.claim': {
    params: signedJobClaimSchema,
    result: z.object({
      attempts: z
        .array(
          z.object({
            id: attemptIdSchema,
            task: z.string().max(256),
            phase: attemptPhaseSchema,
            client: peerIdSchema,
            inputs: wireInputsSchema.optional(),
            restore: checkpointSchema.optional(),
          }),
        )
        .max(LIMITS.attemptsPerClient),
    }),
  },
  /** Host → client: another client continues your job, as its key says. */
  'job.taken': { params: signedJobClaimSchema, result: empty },
  /**
   * Host → client: the offered image of an attempt that is being staged, which the host's engine
   * lacks. Answered to the host that holds the attempt. Exporting may take longer than one answer: when
   * `root`, that of the image document, is absent, the host asks again.
   */
  'attempt.image': {
    params: z.object({ id: attemptIdSchema }),
    result: z.object({ root: digestSchema.optional(), exportedBytes: z.number().nonnegative() }),
  },
  /**
   * Host → client: the secrets of an attempt that is being staged. Answered to the host that holds the
   * attempt and to nobody else; the host keeps them in memory, for the sandbox alone.
   */
  'attempt.secrets': {
    params: z.object({ id: attemptIdSchema }),
    result: z.object({
      secrets: z.record(
        secretNameSchema,
        z.instanceof(Uint8Array).refine((value) => value.length <= LIMITS.secretBytes),
      ),
    }),
  },
  /**
   * Anyone → a neighbour: have this peer, that I cannot dial, call me at one of these addresses of mine.
   * Answers whether it was found and did.
   */
  'peer.introduce': {
    params: z.object({ peer: peerIdSchema, addresses: addressesSchema }),
    result: z.object({ connected: z.boolean() }),
  },
  /**
   * Anyone → anyone: connect to `peer`, or without it to me, at one of these addresses. The answer comes
   * when it is connected or has failed; `addresses` are those of who answers.
   */
  'peer.callback': {
    params: z.object({ peer: peerIdSchema.optional(), addresses: addressesSchema }),
    result: z.object({ connected: z.boolean(), addresses: addressesSchema }),
  },
  /** Anyone → anyone: which of these addresses of mine can you connect to? In the same order. */
  'peer.probe': {
    params: z.object({ addresses: addressesSchema }),
    result: z.object({
      results: z
        .array(z.object({ reached: z.boolean(), why: z.string().max(256).optional() }).nullable())
        .max(LIMITS.addressesPerPeer),
    }),
  },
  /** Host → client: the leases of these attempts go on. The answer names those no longer wanted. */
  'lease.renew': {
    params: z.object({ ids, offer: offerSchema }),
    result: z.object({ unwanted: ids }),
  },
  ...ROSTER_METHODS,
} as const satisfies Record<string, { params: z.ZodType; result: z.ZodType }>

export type RpcMethod = keyof typeof RPC_METHODS
export type RpcParams<Method extends RpcMethod> = z.infer<(typeof RPC_METHODS)[Method]['params']>
export type RpcResult<Method extends RpcMethod> = z.infer<(typeof RPC_METHODS)[Method]['result']>
