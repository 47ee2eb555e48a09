import { type KeyObject, sign, verify } from 'node:crypto'
import { LIMITS } from '../limits.ts'
import { encodeDocument, hashDocument } from '../wire/codec.ts'
import { KnownTree } from './known-tree.ts'
import { LEAF, merkleTree, rootFrom } from './merkle-tree.ts'
import type { Receipt, ReceiptProof, SignedReceipt } from './receipt.ts'

/** Parts of what is hashed and signed, so that neither is good for anything else. */
const RECEIPT = 'manyhands/receipt/2'
const BATCH = 'manyhands/receipts/2'
/** Signatures of a host's batches that were found good: all receipts of a batch have the same. */
const REMEMBERED = 8

/**
 * Signs many receipts at once: one signature over the root of a hash tree, and for each receipt its way to
 * the root, by which it stands for itself ever after.
 *
 * @param receipts - of one host, at least one and at most `LIMITS.receiptsPerBatch`
 * @throws PROTOCOL when a field has no form on the wire: NaN, infinities
 */
export function signReceipts(receipts: readonly Receipt[], key: KeyObject): ReceiptProof[] {
  const { root, paths } = merkleTree(receipts.map(receiptLeaf))
  const size = receipts.length
  const signature = new Uint8Array(sign(null, signedBytes(root, size), key))
  return receipts.map(({ image }, at) => ({
    ...(image === undefined ? {} : { image }),
    at,
    size,
    path: paths[at]!,
    signature,
  }))
}

/** What is hashed of a receipt: nothing else has the same. */
export function receiptLeaf(receipt: Receipt): Uint8Array {
  return hashDocument({ purpose: RECEIPT, receipt }, LEAF)
}

/** Looks at the signatures of batches, each of which is looked at once. */
export class ReceiptBatches {
  readonly #good = new WeakMap<KeyObject, Map<string, KnownTree>>()

  /**
   * @param leaf - of the receipt that is claimed to be in the batch
   * @param key - of the host that the receipt names
   */
  holds(leaf: Uint8Array, proof: Omit<ReceiptProof, 'image'>, key: KeyObject): boolean {
    const { at, size, path, signature } = proof
    if (size > LIMITS.receiptsPerBatch) return false
    // A signature is good for one root alone.
    const claim = `${size} ${hexOf(signature)}`
    const good = this.#good.get(key) ?? new Map<string, KnownTree>()
    this.#good.set(key, good)
    const known = good.get(claim)
    if (known !== undefined) return known.holds(leaf, at, path)
    const root = rootFrom(leaf, proof)
    if (root === undefined || !verify(null, signedBytes(root, size), key, signature)) return false
    if (good.size >= REMEMBERED) good.clear()
    const tree = new KnownTree(root, size)
    good.set(claim, tree)
    return tree.holds(leaf, at, path)
  }
}

/** A receipt of a batch as it is kept: plain JSON. */
export function provenReceipt(
  receipt: Receipt,
  { at, size, path, signature }: ReceiptProof,
): SignedReceipt {
  return { ...receipt, batch: { at, size, path: hexOf(path) }, signature: hexOf(signature) }
}

/** The proof of a receipt that was kept. */
export function proofOf({ batch, signature }: SignedReceipt): ReceiptProof | undefined {
  if (batch === undefined) return undefined
  const { at, size, path } = batch
  const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'))
  return { at, size, path: bytes(path), signature: bytes(signature) }
}

function signedBytes(root: Uint8Array, size: number): Uint8Array {
  return encodeDocument({ purpose: BATCH, root, size })
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}
