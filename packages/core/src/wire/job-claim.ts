import { type KeyObject, sign, verify } from 'node:crypto'
import { z } from 'zod'
import { ManyhandsError } from '../errors.ts'
import { publicKeyOf } from '../network/identity.ts'
import { encodeDocument } from './codec.ts'
import { jobIdSchema, nonceSchema } from './identifiers.ts'

/** Part of what is signed, so that a signature is good for nothing else. */
const PURPOSE = 'manyhands/job-claim/1'
/** Who owns a job for the n-th time: no job changes hands more often. */
export const MOST_OWNERSHIPS = 999

/**
 * The word of a job's owner key that a client continues the job, said to one host. It holds for the two
 * peers that it names and for the number that the host had asked for; who was the owner before is told.
 */
export interface JobClaim {
  v: 1
  job: string
  /** Public key of the job, written as a peer id. */
  owner: string
  /** How often the job has changed hands, this time included: the highest one holds. */
  epoch: number
  host: string
  /** Who continues it. */
  client: string
  /** What the host gave for this. Hexadecimal. */
  nonce: string
}

/** A claim with the signature of the job's key, hexadecimal. */
export interface SignedJobClaim extends JobClaim {
  signature: string
}

/** Public keys are written as peer ids: base58 of at most this many characters. */
export const peerIdSchema = z.string().regex(/^[1-9A-HJ-NP-Za-km-z]{1,128}$/)

export const signedJobClaimSchema: z.ZodType<SignedJobClaim> = z.strictObject({
  v: z.literal(1),
  job: jobIdSchema,
  owner: peerIdSchema,
  epoch: z.number().int().positive().max(MOST_OWNERSHIPS),
  host: peerIdSchema,
  client: peerIdSchema,
  nonce: nonceSchema,
  signature: z.string().regex(/^[0-9a-f]{128}$/),
})

/** @param key - of the job: `claim.owner` has to be its public half */
export function signJobClaim(claim: JobClaim, key: KeyObject): SignedJobClaim {
  return { ...claim, signature: sign(null, signedBytes(claim), key).toString('hex') }
}

/**
 * Checks that a claim was signed by the job's own key, and says what the reader knows of it.
 *
 * @throws UNAUTHORIZED naming the field
 */
export function checkJobClaim(signed: SignedJobClaim, known: Partial<JobClaim>): JobClaim {
  const { signature, ...claim } = signed
  for (const [field, value] of Object.entries(known)) {
    if (claim[field as keyof JobClaim] !== value) throw refused(claim, `its ${field} is another`)
  }
  const key = publicKeyOf(claim.owner)
  if (key === undefined) throw refused(claim, 'its owner is no key')
  if (!verify(null, signedBytes(claim), key, Buffer.from(signature, 'hex'))) {
    throw refused(claim, 'it is not signed by the key of the job')
  }
  return claim
}

/** Whether a claim holds against another one to the same job: the number decides, then the client's name. */
export function isLaterClaim(
  { epoch, client }: Pick<JobClaim, 'epoch' | 'client'>,
  than: Pick<JobClaim, 'epoch' | 'client'>,
): boolean {
  return epoch === than.epoch ? client > than.client : epoch > than.epoch
}

function refused({ job }: JobClaim, why: string): ManyhandsError {
  return new ManyhandsError('UNAUTHORIZED', `a claim to job ${job} does not count: ${why}`, {
    hint: 'A job is continued with its owner key.',
  })
}

function signedBytes(claim: JobClaim): Uint8Array {
  return encodeDocument({ purpose: PURPOSE, claim })
}
