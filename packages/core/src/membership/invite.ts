import { hash } from 'node:crypto'
import { base58btc } from 'multiformats/bases/base58'
import { z } from 'zod'
import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { createIdentity } from '../network/identity.ts'
import { decodeDocument, encodeDocument } from '../wire/codec.ts'
import { type CertifiedInvite, certifiedInviteShape, inviteFault } from './invite-certificate.ts'
import type { MemberRole } from './member-role.ts'

/** Everything that an invite carries. */
export interface Invite extends CertifiedInvite {
  v: 1
  /** What people call the network. */
  name: string
  /** Known to all members: without it nobody answers. */
  secret: Uint8Array
  /** Of the invite's private key. */
  seed: Uint8Array
  /** Where members can be reached. */
  addresses: string[]
}

/** What an invite tells without being used. */
export interface InviteSummary {
  /** Public key of the network, written as a peer id. */
  network: string
  name: string
  role: MemberRole
  /** Ms since 1970. */
  expires: number
  uses: number
  addresses: string[]
}

const PREFIX = 'mh1'
const CHECKSUM_BYTES = 4
const bytesOf = (length: number) =>
  z.instanceof(Uint8Array).refine((bytes) => bytes.length === length, `must be ${length} bytes`)

export const secretSchema = bytesOf(32)
export const networkNameSchema = z
  .string()
  .regex(/^[\p{L}\p{N}][\p{L}\p{N} ._-]*$/u)
  .max(LIMITS.networkNameCharacters)

const inviteSchema: z.ZodType<Invite> = z.strictObject({
  v: z.literal(1),
  name: networkNameSchema,
  secret: secretSchema,
  seed: secretSchema,
  addresses: z.array(z.string().max(LIMITS.addressBytes)).max(LIMITS.inviteAddresses),
  ...certifiedInviteShape,
})

/** Writes an invite as one word. */
export function formatInvite(invite: Invite): string {
  const bytes = encodeDocument(invite)
  return PREFIX + base58btc.baseEncode(Buffer.concat([bytes, checksum(bytes)]))
}

/**
 * Reads an invite and checks that it is whole and signed by who may invite. Not whether it has expired: the
 * clock of the member that admits decides that.
 *
 * @throws INVITE_INVALID
 */
export function parseInvite(text: string): Invite {
  const word = text.trim()
  if (!word.startsWith(PREFIX)) throw invalid(`it does not begin with ${PREFIX}`)
  if (word.length > LIMITS.inviteCharacters) throw invalid('it is too long')
  const bytes = decoded(word)
  const [document, sum] = [bytes.subarray(0, -CHECKSUM_BYTES), bytes.subarray(-CHECKSUM_BYTES)]
  if (!checksum(document).equals(sum)) {
    throw invalid('its checksum does not match: it was altered, or not copied as a whole')
  }
  let invite: Invite
  try {
    invite = decodeDocument(inviteSchema, document, 'the invite')
  } catch (cause) {
    throw invalid('it is not of a form that this version knows', cause)
  }
  const { certificate, seed } = invite
  const fault = inviteFault(invite, certificate.network)
  if (fault !== undefined) throw invalid(`it ${fault}`)
  if (createIdentity(seed).peerId !== certificate.invite) throw invalid('it has the key of another')
  return invite
}

/**
 * What an invite is for.
 *
 * @throws INVITE_INVALID for a text that is none
 */
export function readInvite(text: string): InviteSummary {
  const { certificate, name, addresses } = parseInvite(text)
  const { network, role, expires, uses } = certificate
  return { network, name, role, expires, uses, addresses }
}

function decoded(word: string): Uint8Array {
  try {
    const bytes = base58btc.baseDecode(word.slice(PREFIX.length))
    if (bytes.length > CHECKSUM_BYTES) return bytes
  } catch (cause) {
    throw invalid('it has letters that no invite has', cause)
  }
  throw invalid('it is too short')
}

const checksum = (bytes: Uint8Array): Buffer =>
  Buffer.from(hash('sha256', bytes, 'buffer').subarray(0, CHECKSUM_BYTES))

function invalid(why: string, cause?: unknown): ManyhandsError {
  return new ManyhandsError('INVITE_INVALID', `the invite cannot be used: ${why}`, { cause })
}
