import {
  type AttemptEnd,
  attemptEndSchema,
  checkProof,
  decodeDocument,
  encodeDocument,
  LIMITS,
  publicKeyOf,
  ReceiptBatches,
  type ReceiptProof,
  type ReceiptSubject,
  receiptKey,
  receiptOf,
  signReceipts,
  verifyReceipt,
} from '@manyhands/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { KnownTree } from '../../src/receipts/known-tree.ts'
import { leafOf, merkleTree, rootFrom } from '../../src/receipts/merkle-tree.ts'
import { client, digest, host, someEnd, subject } from './attempt-ends.ts'

const invalid = expect.objectContaining({ code: 'RECEIPT_INVALID', blame: 'host' })
const leaf = (n: number) => leafOf(Uint8Array.of(n >>> 8, n))
const leavesOf = (size: number) => Array.from({ length: size }, (_, n) => leaf(n))

describe('a hash tree', () => {
  it('leads each of its leaves to its root, and no other leaf or place', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), fc.nat(), fc.nat(), (size, at, other) => {
        const place = at % size
        const { root, paths } = merkleTree(leavesOf(size))
        const path = paths[place]!
        const given = { at: place, size, path }
        expect(rootFrom(leaf(place), given)).toEqual(root)
        expect(rootFrom(leaf(size), given)).not.toEqual(root)
        const wrong = other % size
        if (wrong === place) return
        expect(rootFrom(leaf(place), { ...given, at: wrong })).not.toEqual(root)
      }),
    )
  })

  it('takes no path that is longer or shorter than the place wants, and no place outside', () => {
    const { paths } = merkleTree(leavesOf(5))
    const given = { at: 4, size: 5, path: paths[4]! }
    expect(rootFrom(leaf(4), { ...given, path: new Uint8Array(64) })).toBeUndefined()
    expect(rootFrom(leaf(4), { ...given, path: new Uint8Array() })).toBeUndefined()
    expect(rootFrom(leaf(4), { ...given, at: 5 })).toBeUndefined()
    expect(rootFrom(leaf(4), { ...given, at: Number.NaN })).toBeUndefined()
  })

  it('whose root is known takes its leaves in any order, and nothing else', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), fc.infiniteStream(fc.nat()), (size, draws) => {
        const { root, paths } = merkleTree(leavesOf(size))
        const known = new KnownTree(root, size)
        for (const draw of draws.take(30)) {
          const at = draw % size
          const path = paths[at]!
          expect(known.holds(leaf(size), at, path)).toBe(false)
          if (path.length > 0) {
            const changed = Uint8Array.from(path)
            changed[draw % path.length]! ^= 1
            expect(known.holds(leaf(at), at, changed)).toBe(false)
            expect(known.holds(leaf(at), at, path.subarray(32))).toBe(false)
          }
          const other = (at + 1) % size
          if (other !== at) expect(known.holds(leaf(at), other, paths[other]!)).toBe(false)
          expect(known.holds(leaf(at), at, path)).toBe(true)
        }
      }),
    )
  })

  it('does not take a node for a leaf', () => {
    const { root } = merkleTree(leavesOf(2))
    const parts = Buffer.concat([leaf(0), leaf(1)])
    expect(leafOf(parts)).not.toEqual(root)
  })
})

const key = receiptKey(host.seed)
const image = digest('a')

/** So many attempts of one host that ended together, with their proofs. */
function together(
  size: number,
): { of: ReceiptSubject; end: AttemptEnd & { proof: ReceiptProof } }[] {
  const subjects = Array.from({ length: size }, (_, n) => ({
    ...subject,
    task: `${n}`,
    attempt: `f00d${n}.1`,
  }))
  const end = someEnd()
  const proofs = signReceipts(
    subjects.map((of) => receiptOf(of, 'completed', end, image)),
    key,
  )
  return subjects.map((of, n) => ({ of, end: { ...end, proof: proofs[n]! } }))
}

const by = () => ({ batches: new ReceiptBatches(), key: publicKeyOf(host.peerId) })

describe('a receipt of a batch', () => {
  it.each([1, 2, 7, LIMITS.receiptsPerBatch])('counts for its own end, among %i', (size) => {
    const with_ = by()
    for (const { of, end } of together(size)) {
      const arrived = decodeDocument(attemptEndSchema, encodeDocument(end), 'end')
      const { receipt } = checkProof(of, 'completed', { ...arrived, proof: arrived.proof! }, with_)
      expect(receipt).toMatchObject({ task: of.task, attempt: of.attempt, batch: { size } })
    }
  })

  it('stands for itself afterwards, as plain JSON', () => {
    const [, second] = together(3)
    const { receipt } = checkProof(second!.of, 'completed', second!.end, by())
    const kept = JSON.parse(JSON.stringify(receipt))
    expect(verifyReceipt(kept)).toMatchObject({ host: host.peerId, task: '1', image })
    for (const change of [
      { task: '2' },
      { durationMs: 1 },
      { batch: { ...kept.batch, at: 2 } },
      { batch: undefined },
      { batch: { ...kept.batch, path: kept.batch.path.slice(64) } },
      { host: client.peerId },
    ]) {
      expect(() => verifyReceipt({ ...kept, ...change })).toThrow(invalid)
    }
  })

  it('does not count for anything that is not as it was signed', () => {
    const [first, second] = together(4)
    const refuse = (of: ReceiptSubject, end: AttemptEnd, phase = 'completed' as const) =>
      expect(() => checkProof(of, phase, { ...end, proof: end.proof! }, by())).toThrow(invalid)
    const { of, end } = first!
    refuse(of, { ...end, proof: second!.end.proof })
    refuse(second!.of, end)
    refuse({ ...of, nonce: 'ffeeddccbbaa99887766554433221100' }, end)
    refuse({ ...of, job: 'job-2' }, end)
    refuse({ ...of, client: host.peerId }, end)
    refuse({ ...of, spec: { ...of.spec, command: ['another'] } }, end)
    refuse({ ...of, spec: { ...of.spec, inputs: [] } }, end)
    refuse(of, { ...end, exitCode: 1 })
    refuse(of, { ...end, outputs: { root: digest('e'), bytes: 1 } })
    refuse(of, { ...end, stdoutTail: new Uint8Array(1) })
    refuse(of, { ...end, durationMs: 1 })
    refuse(of, { ...end, proof: { ...end.proof, image: digest('b') } })
    refuse(of, { ...end, proof: { ...end.proof, image: undefined } })
    refuse(of, { ...end, proof: { ...end.proof, at: 1 } })
    refuse(of, { ...end, proof: { ...end.proof, size: 5 } })
    refuse(of, { ...end, proof: { ...end.proof, signature: new Uint8Array(64) } })
    expect(() => checkProof(of, 'failed' as 'completed', end, by())).toThrow(invalid)
  })

  it('is believed of its own host alone, also when the batch was seen before', () => {
    const [first] = together(2)
    const with_ = by()
    checkProof(first!.of, 'completed', first!.end, with_)
    const other = { batches: with_.batches, key: publicKeyOf(client.peerId) }
    expect(() => checkProof(first!.of, 'completed', first!.end, other)).toThrow(invalid)
    const none = { batches: with_.batches, key: undefined }
    expect(() => checkProof(first!.of, 'completed', first!.end, none)).toThrow(invalid)
  })

  it('is not believed for the root that another one of its batch has', () => {
    const [first, second] = together(2)
    const with_ = by()
    checkProof(first!.of, 'completed', first!.end, with_)
    const forged = { ...second!.end, exitCode: 9 }
    expect(() => checkProof(second!.of, 'completed', forged, with_)).toThrow(invalid)
  })

  it('is of no batch that is larger than batches may be', () => {
    const [first] = together(2)
    const { proof } = first!.end
    const size = LIMITS.receiptsPerBatch + 1
    const end = { ...first!.end, proof: { ...proof, size } }
    const arrived = decodeDocument(attemptEndSchema, encodeDocument(end), 'end')
    expect(arrived.proof).toBeUndefined()
    expect(() => checkProof(first!.of, 'completed', end, by())).toThrow(invalid)
  })
})
