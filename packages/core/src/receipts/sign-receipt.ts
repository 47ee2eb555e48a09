import { type KeyObject, sign, verify } from 'node:crypto'
import { ManyhandsError } from '../errors.ts'
import { publicKeyOf, signingKey } from '../network/identity.ts'
import { encodeDocument } from '../wire/codec.ts'
import { type Receipt, type SignedReceipt, signedReceiptSchema } from './receipt.ts'
import { proofOf, ReceiptBatches, receiptLeaf } from './receipt-batch.ts'

/** Part of what is signed, so that a signature is good for nothing else. */
const PURPOSE = 'manyhands/receipt/1'

/**
 * Signs for the peer whose seed this is; `receipt.host` has to be its id, else nobody believes it.
 *
 * @throws PROTOCOL when a field has no form on the wire: NaN, infinities
 */
export function signReceipt(receipt: Receipt, key: KeyObject): SignedReceipt {
  return { ...receipt, signature: sign(null, signedBytes(receipt), key).toString('hex') }
}

/** The key that signs receipts for the identity of a seed. @throws CONFIG_INVALID */
export function receiptKey(seed: Uint8Array): KeyObject {
  return signingKey(seed)
}

/**
 * Checks that a receipt was signed by the host that it names. Whether it says what one knows to be so is
 * another question.
 *
 * @param document - as it was kept: also one that went through JSON
 * @throws RECEIPT_INVALID
 * @example
 * verifyReceipt(JSON.parse(await readFile('receipt.json', 'utf8')))
 */
export function verifyReceipt(document: unknown): Receipt {
  const parsed = signedReceiptSchema.safeParse(document)
  if (!parsed.success) throw invalid('it is not of the shape of one')
  const key = publicKeyOf(parsed.data.host)
  if (key === undefined) throw invalid('its host has no key')
  return verifySignature(parsed.data, key)
}

/**
 * As {@link verifyReceipt}, for a receipt whose shape was looked at before.
 *
 * @param key - of the host that the receipt names
 */
export function verifySignature(signed: SignedReceipt, key: KeyObject): Receipt {
  const { signature, batch: _, ...receipt } = signed
  const proof = proofOf(signed)
  const good =
    proof === undefined
      ? verify(null, signedBytes(receipt), key, Buffer.from(signature, 'hex'))
      : new ReceiptBatches().holds(receiptLeaf(receipt), proof, key)
  if (!good) throw invalid(`it is not signed by its host ${receipt.host}`)
  return receipt
}

function invalid(why: string): ManyhandsError {
  return new ManyhandsError('RECEIPT_INVALID', `a receipt does not count: ${why}`)
}

function signedBytes(receipt: Receipt): Uint8Array {
  return encodeDocument({ purpose: PURPOSE, receipt })
}
