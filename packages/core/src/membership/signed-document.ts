import { sign, verify } from 'node:crypto'
import { z } from 'zod'
import { publicKeyOf, signingKey } from '../network/identity.ts'
import { encodeDocument } from '../wire/codec.ts'

/** What a document of a network may be signed for; a signature is good for that alone. */
export type Purpose = 'delegation' | 'invite' | 'claim' | 'admission' | 'revocation' | 'binding'

/** A document with an Ed25519 signature over all of its other fields. */
export type Signed<Document> = Document & { signature: Uint8Array }

export const signatureSchema = z
  .instanceof(Uint8Array)
  .refine(({ length }) => length === 64, 'must be 64 bytes')

/** Signs for a purpose. @param seed - of the key that the document says has signed it */
export function signDocument<const Document extends object>(
  purpose: Purpose,
  document: Document,
  seed: Uint8Array,
): Signed<Document> {
  const signature = sign(null, signedBytes(purpose, document), signingKey(seed))
  return { ...document, signature: new Uint8Array(signature) }
}

/** Whether a document was signed for a purpose by a key, written as a peer id. */
export function isSignedBy(signer: string, purpose: Purpose, signed: Signed<object>): boolean {
  const key = publicKeyOf(signer)
  if (key === undefined) return false
  const { signature, ...document } = signed
  return verify(null, signedBytes(purpose, document), key, signature)
}

function signedBytes(purpose: Purpose, document: object): Uint8Array {
  return encodeDocument({ purpose: `manyhands/${purpose}/1`, document })
}
