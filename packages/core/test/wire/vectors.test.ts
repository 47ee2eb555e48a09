import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import {
  type AttemptSpec,
  attemptEventSchema,
  attemptSpecSchema,
  checkJobClaim,
  createIdentity,
  decodeDocument,
  encodeDocument,
  inputsDigest,
  type Manifest,
  type Offer,
  offerSchema,
  type Receipt,
  RPC_METHODS,
  type SignedJobClaim,
  type SignedReceipt,
  signedJobClaimSchema,
  signJobClaim,
  signReceipt,
  signReceipts,
  specDigest,
  verifyReceipt,
} from '@manyhands/core'
import { equals } from 'uint8arrays/equals'
import { fromString } from 'uint8arrays/from-string'
import { toString as toText } from 'uint8arrays/to-string'
import { expect, test } from 'vitest'
import type { z } from 'zod'
import { chunkCount, chunkLength } from '../../src/artifacts/chunk-layout.ts'
import { hashBytes } from '../../src/artifacts/hash-file.ts'
import { encodeManifest, fileId, readManifest } from '../../src/artifacts/manifest.ts'
import { atOnce } from '../../src/artifacts/turns.ts'
import { decodeAnnouncement, encodeAnnouncement } from '../../src/discovery/offer-announcement.ts'
import { imageSchema } from '../../src/images/image-document.ts'
import { FrameAssembler, headerOf } from '../../src/network/frame-assembler.ts'
import { FRAME_KIND } from '../../src/network/frame-kind.ts'
import { signingKey } from '../../src/network/identity.ts'
import {
  decodeEnvelope,
  encodeEnvelope,
  type RpcAnswer,
  type RpcRequest,
} from '../../src/network/rpc-envelope.ts'
import { merkleTree } from '../../src/receipts/merkle-tree.ts'
import { receiptLeaf } from '../../src/receipts/receipt-batch.ts'
import { readWant, wantFrame } from '../../src/transfer/transfer-frames.ts'
import {
  foundFrame,
  haveFrame,
  openFrame,
  peersFrame,
  readFound,
  readHave,
  readOpen,
  readPeers,
} from '../../src/transfer/transfer-messages.ts'

interface Vector {
  name: string
  shape: string
  value: unknown
  hex: string
}

interface Vectors {
  identity: { seed: string; peerId: string }
  documents: Vector[]
  envelopes: Vector[]
  announcement: { value: { seq: number; offer: Offer }; hex: string }
  receipt: {
    spec: AttemptSpec
    specDigest: string
    inputsDigest: string
    value: SignedReceipt
    signed: string
  }
  receiptBatch: {
    receipts: Receipt[]
    leaves: string[]
    root: string
    signed: string
    proofs: { image: string; at: number; size: number; path: string; signature: string }[]
  }
  claim: { value: SignedJobClaim; signed: string }
  rpcFrame: { length: number; header: string }
  artifactFrames: { name: keyof typeof ARTIFACT_FRAMES; value: unknown; hex: string }[]
  streamFrames: { kind: keyof typeof FRAME_KIND; count: number; header: string }[]
  chunks: { content: string; size: number; lengths: number[] }
  manifest: { value: Manifest; hex: string; root: string; fileIds: string[] }
}

const path = new URL('../../../../docs/protocol/vectors.json', import.meta.url)
const vectors: Vectors = JSON.parse(await readFile(path, 'utf8'), (_, value) =>
  typeof value?.$hex === 'string' ? fromString(value.$hex, 'base16') : value,
)
const SHAPES: Record<string, z.ZodType> = {
  offer: offerSchema,
  attemptEvent: attemptEventSchema,
  image: imageSchema,
  attemptSpec: attemptSpecSchema,
  challengeAnswer: RPC_METHODS['job.challenge'].result,
  claimAnswer: RPC_METHODS['job.claim'].result,
}

/** How each frame of the artifact protocol is written and read. */
const ARTIFACT_FRAMES = {
  open: [openFrame, readOpen],
  want: [wantFrame, readWant],
  found: [foundFrame, readFound],
  have: [haveFrame, readHave],
  peers: [peersFrame, readPeers],
} as const

const hex = (bytes: Uint8Array): string => toText(bytes, 'base16')
const bytesOf = (text: string): Uint8Array => fromString(text, 'base16')

test('there are vectors of everything', () => {
  expect(vectors.documents.map(({ name }) => name)).toEqual([
    'offer',
    'attempt event, staging',
    'attempt event, running',
    'attempt event, outputs',
    'attempt event, end',
    'attempt event, receipt',
    'attempt event, proof',
    'image',
    'attempt spec, warm',
    'attempt event, checkpoint',
    'attempt spec, checkpoint',
    'job.challenge answer',
    'job.claim answer',
  ])
  expect(vectors.envelopes).toHaveLength(3)
  expect(new Set(vectors.artifactFrames.map(({ name }) => name))).toEqual(
    new Set(Object.keys(ARTIFACT_FRAMES)),
  )
  expect(vectors.streamFrames.map(({ kind }) => kind)).toEqual(['data', 'data', 'credit', 'end'])
})

test.each(vectors.artifactFrames)('artifact frame: $name', ({ name, value, hex: expected }) => {
  const [write, read] = ARTIFACT_FRAMES[name] as [(value: unknown) => Uint8Array, typeof readOpen]
  expect(hex(write(value))).toBe(expected)
  expect(read(bytesOf(expected))).toEqual(value)
})

test('the peer id follows from the seed', () => {
  const { seed, peerId } = vectors.identity
  expect(createIdentity(bytesOf(seed)).peerId).toBe(peerId)
})

test.each(vectors.documents)('document: $name', ({ name, shape, value, hex: expected }) => {
  expect(hex(encodeDocument(value))).toBe(expected)
  const decoded = decodeDocument(SHAPES[shape] as z.ZodType, bytesOf(expected), name)
  expect(decoded).toEqual(value)
})

test.each(vectors.envelopes)('envelope: $name', ({ value, hex: expected }) => {
  const envelope = value as RpcRequest | RpcAnswer
  expect(hex(encodeEnvelope(envelope))).toBe(expected)
  expect(decodeEnvelope(bytesOf(expected))).toEqual(envelope)
})

test('the params and the result of the vectors are of their method', () => {
  const [request, answer] = vectors.envelopes.map(({ value }) => value) as [
    RpcRequest,
    RpcAnswer & { ok: true },
  ]
  const method = RPC_METHODS['attempt.offer']
  expect(method.params.parse(request.params)).toEqual(request.params)
  expect(method.result.parse(answer.result)).toEqual(answer.result)
})

test('announcement: signature and all', () => {
  const { value, hex: expected } = vectors.announcement
  const key = signingKey(bytesOf(vectors.identity.seed))
  expect(equals(encodeAnnouncement(value, key), bytesOf(expected))).toBe(true)
  expect(decodeAnnouncement(bytesOf(expected))).toEqual(value)
})

test('receipt: what is hashed, what is signed, and by whom', () => {
  const { spec, value, signed, ...digests } = vectors.receipt
  expect(digests).toEqual({
    specDigest: specDigest(attemptSpecSchema.parse(spec)),
    inputsDigest: inputsDigest(spec.inputs),
  })
  const { signature, ...receipt } = value
  expect(hex(encodeDocument({ purpose: 'manyhands/receipt/1', receipt }))).toBe(signed)
  expect(signReceipt(receipt, signingKey(bytesOf(vectors.identity.seed)))).toEqual(value)
  expect(verifyReceipt(value)).toEqual(receipt)
  expect(signature).toHaveLength(128)
})

test('receipts of a batch: their leaves, their root, what is signed, and their ways', () => {
  const { receipts, leaves, root, signed, proofs } = vectors.receiptBatch
  const made = receipts.map(receiptLeaf)
  expect(made.map(hex)).toEqual(leaves)
  const tree = merkleTree(made)
  expect(hex(tree.root)).toBe(root)
  const document = { purpose: 'manyhands/receipts/2', root: tree.root, size: receipts.length }
  expect(hex(encodeDocument(document))).toBe(signed)
  const given = signReceipts(receipts, signingKey(bytesOf(vectors.identity.seed)))
  expect(
    given.map((one) => ({ ...one, path: hex(one.path), signature: hex(one.signature) })),
  ).toEqual(proofs)
  for (const [at, receipt] of receipts.entries()) {
    const { path, signature, size } = proofs[at]!
    expect(verifyReceipt({ ...receipt, batch: { at, size, path }, signature })).toEqual(receipt)
  }
})

test('claim: what is signed by the key of the job, and for whom', () => {
  const { value, signed } = vectors.claim
  const { signature, ...claim } = signedJobClaimSchema.parse(value)
  expect(hex(encodeDocument({ purpose: 'manyhands/job-claim/1', claim }))).toBe(signed)
  expect(signJobClaim(claim, signingKey(bytesOf(vectors.identity.seed)))).toEqual(value)
  expect(checkJobClaim(value, { owner: vectors.identity.peerId })).toEqual(claim)
  const changed = { ...value, epoch: 3 }
  expect(() => checkJobClaim(changed, {})).toThrow('not signed by the key of the job')
  expect(() => checkJobClaim(value, { client: claim.host })).toThrow('its client is another')
  expect(signature).toHaveLength(128)
})

test('frame headers', () => {
  const { rpcFrame, streamFrames } = vectors
  expect(hex(headerOf(rpcFrame.length))).toBe(rpcFrame.header)
  for (const { kind, count, header } of streamFrames) {
    const word = FRAME_KIND[kind] * 2 ** 24 + count
    expect(hex(headerOf(word))).toBe(header)
    const words: number[] = []
    new FrameAssembler(
      (found) => {
        words.push(found)
        return 0
      },
      () => {},
    ).push(bytesOf(header))
    expect(words).toEqual([word])
  }
})

test('chunks: content decides where they end', async () => {
  const { size, lengths } = vectors.chunks
  const content = Buffer.alloc(size)
  const counter = Buffer.alloc(4)
  for (let index = 0; index < size / 32; index++) {
    counter.writeUInt32BE(index)
    createHash('sha256')
      .update(counter)
      .digest()
      .copy(content, index * 32)
  }
  const file = await hashBytes(content)
  expect(Array.from({ length: chunkCount(file) }, (_, at) => chunkLength(file, at))).toEqual(
    lengths,
  )
  expect({ ...vectors.manifest.value.files[0], ...file }).toEqual(vectors.manifest.value.files[0])
})

test('manifest: encoded, named, and its files named', () => {
  const { value, hex: expected, root, fileIds } = vectors.manifest
  const encoded = encodeManifest(value)
  expect(hex(encoded.bytes)).toBe(expected)
  expect(encoded.root).toBe(root)
  expect(atOnce(readManifest(bytesOf(expected)))).toEqual(value)
  expect(value.files.map(fileId)).toEqual(fileIds)
})
