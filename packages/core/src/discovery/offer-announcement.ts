import { type KeyObject, sign, verify } from 'node:crypto'
import { z } from 'zod'
import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { type PeerBinding, peerBindingSchema } from '../membership/peer-binding.ts'
import type { Signed } from '../membership/signed-document.ts'
import { publicKeyOf } from '../network/identity.ts'
import { type Offer, offerSchema } from '../offer.ts'
import { decodeDocument, encodeDocument } from '../wire/codec.ts'
import { PROTOCOLS } from '../wire/protocols.ts'

/** An offer as it was announced: `seq` grows with every announcement of a peer. */
export interface Announcement {
  seq: number
  offer: Offer
  /** In a private network: the member that the host belongs to. */
  binding?: Signed<PeerBinding>
}

const announcementSchema = z.object({
  v: z.literal(1),
  seq: z.number().int().nonnegative(),
  offer: z.instanceof(Uint8Array),
  signature: z.instanceof(Uint8Array),
  // It has a signature of its own, by another key.
  binding: peerBindingSchema.optional(),
})

/**
 * Encodes and signs an announcement. The signature covers the topic too, so that it is good for
 * nothing else.
 *
 * @throws LIMIT when the offer is too large to be gossiped
 */
export function encodeAnnouncement(
  { seq, offer, binding }: Announcement,
  key: KeyObject,
): Uint8Array {
  const bytes = encodeDocument(offer)
  const signature = new Uint8Array(sign(null, signedBytes(seq, bytes), key))
  const announcement = encodeDocument({ v: 1, seq, offer: bytes, signature, binding })
  if (announcement.length <= LIMITS.offerBytes) return announcement
  throw new ManyhandsError(
    'LIMIT',
    `an offer of ${announcement.length} bytes is beyond the limit of ${LIMITS.offerBytes}`,
  )
}

/** Decodes an announcement whose signature was checked already. @throws PROTOCOL */
export function readAnnouncement(bytes: Uint8Array): Announcement {
  const { seq, offer } = decodeDocument(announcementSchema, bytes, 'announcement')
  return { seq, offer: decodeDocument(offerSchema, offer, 'offer') }
}

/** Decodes an announcement and checks that the peer of the offer signed it. @throws PROTOCOL */
export function decodeAnnouncement(bytes: Uint8Array): Announcement {
  if (bytes.length > LIMITS.offerBytes) {
    throw new ManyhandsError('PROTOCOL', `an announcement of ${bytes.length} bytes is too large`)
  }
  const {
    seq,
    offer: encoded,
    signature,
    binding,
  } = decodeDocument(announcementSchema, bytes, 'announcement')
  const offer = decodeDocument(offerSchema, encoded, 'offer')
  const key = publicKeyOf(offer.peerId)
  if (key === undefined || !verify(null, signedBytes(seq, encoded), key, signature)) {
    throw new ManyhandsError('PROTOCOL', `an offer is not signed by its peer ${offer.peerId}`)
  }
  return { seq, offer, ...(binding === undefined ? {} : { binding }) }
}

function signedBytes(seq: number, offer: Uint8Array): Uint8Array {
  return encodeDocument({ topic: PROTOCOLS.offers, seq, offer })
}
