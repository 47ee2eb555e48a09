import { z } from 'zod'
import { peerIdSchema } from '../wire/job-claim.ts'
import { isSignedBy, type Signed, signatureSchema } from './signed-document.ts'

/** The word of a member's key that a peer is one of its own. */
export interface PeerBinding {
  v: 1
  network: string
  peer: string
  member: string
}

export const peerBindingSchema: z.ZodType<Signed<PeerBinding>> = z.strictObject({
  v: z.literal(1),
  network: peerIdSchema,
  peer: peerIdSchema,
  member: peerIdSchema,
  signature: signatureSchema,
})

export function isBound(binding: Signed<PeerBinding>, network: string, peer: string): boolean {
  return (
    binding.network === network &&
    binding.peer === peer &&
    isSignedBy(binding.member, 'binding', binding)
  )
}
