import { createHash } from 'node:crypto'
import { open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LIMITS } from '@manyhands/core'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import {
  chunkAt,
  chunkCount,
  chunkHash,
  chunkLength,
  chunkOffset,
  chunksRefusal,
  type FileChunks,
} from '../../src/artifacts/chunk-layout.ts'
import { findCut, isOneChunk } from '../../src/artifacts/content-cut.ts'
import { hashBytes, hashFile, verifyFile } from '../../src/artifacts/hash-file.ts'
import { sha256Now } from '../../src/artifacts/sha256.ts'
import { createFileHasher } from '../../src/hashing/file-hasher.ts'
import { MIB, scratch, seededBytes } from './scratch.ts'

const KIB = 1024
const lengthsOf = (file: FileChunks) =>
  Array.from({ length: chunkCount(file) }, (_, index) => chunkLength(file, index))

function expectChunksOf(bytes: Uint8Array, file: FileChunks): void {
  expect(chunksRefusal(file)).toBeUndefined()
  expect(file.size).toBe(bytes.length)
  let position = 0
  for (const [index, length] of lengthsOf(file).entries()) {
    expect(chunkOffset(file, index)).toBe(position)
    expect(chunkAt(file, position)).toBe(index)
    const hash = sha256Now(bytes.subarray(position, position + length))
    expect(Buffer.compare(hash, chunkHash(file, index))).toBe(0)
    position += length
  }
  expect(position).toBe(bytes.length)
}

test('boundaries never change: what others have would be sent again', async () => {
  const all = createHash('sha256')
  for (const length of lengthsOf(await hashBytes(seededBytes(40 * MIB, 2))))
    all.update(`${length} `)
  expect(all.digest('hex')).toBe('360a4b605d2fe8ae92efad8c11ef5ec83e4bac622177fe34ae1fb18fd07a8c3b')
})

test('no byte repeated is a boundary everywhere', async () => {
  for (let byte = 0; byte < 256; byte++) {
    const bytes = new Uint8Array(LIMITS.chunkMinBytes + 64).fill(byte)
    expect(findCut(bytes, 0, bytes.length, bytes.length)).toBe(bytes.length)
  }
})

test('the average is what the limits are made for', async () => {
  const file = await hashBytes(seededBytes(64 * MIB, 3))
  expect(file.size / chunkCount(file)).toBeGreaterThan(88 * KIB)
  expect(file.size / chunkCount(file)).toBeLessThan(104 * KIB)
})

test('files up to the least length are one chunk, and files beyond 64 GiB are cut evenly', () => {
  expect(isOneChunk(LIMITS.chunkMinBytes)).toBe(true)
  const bytes = seededBytes(2 * MIB, 4)
  expect(findCut(bytes, 0, LIMITS.chunkMinBytes, LIMITS.chunkMinBytes)).toBe(LIMITS.chunkMinBytes)
  const huge = 64 * 1024 * MIB + 1
  expect(findCut(bytes, 5, huge - 5, huge)).toBe(5 + LIMITS.chunkMaxBytes)
  expect(findCut(bytes.subarray(0, MIB), 5, huge - 5, huge)).toBe(0)
})

test('the chunks of any bytes are those bytes, each within the limits', async () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 64 }),
    fc
      .tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 1, max: 300 * KIB }))
      .map(([byte, length]) => new Uint8Array(length).fill(byte)),
    fc
      .tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 1, max: 900 * KIB }))
      .map(([seed, length]) => seededBytes(length, seed)),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 8 }), async (pieces) => {
      const bytes = Buffer.concat(pieces)
      expectChunksOf(bytes, await hashBytes(bytes))
    }),
    { numRuns: 60, seed: 42 },
  )
})

test('where bytes lie in memory makes no difference', () => {
  const bytes = seededBytes(512 * KIB, 10)
  const expected = findCut(bytes, 0, bytes.length, bytes.length)
  expect(expected).toBeLessThan(bytes.length)
  for (let shift = 0; shift < 9; shift++) {
    const memory = Buffer.alloc(shift + bytes.length + 5)
    bytes.copy(memory, shift)
    const moved = memory.subarray(shift, shift + bytes.length)
    expect(findCut(moved, 0, bytes.length, bytes.length)).toBe(expected)
    const behind = memory.subarray(0, shift + bytes.length)
    expect(findCut(behind, shift, bytes.length, bytes.length)).toBe(shift + expected)
    for (let end = expected; end < expected + 5; end++) {
      expect(findCut(moved, 0, end, bytes.length)).toBe(expected)
      expect(findCut(moved.subarray(0, end - 5), 0, bytes.length, bytes.length)).toBe(0)
    }
  }
})

test('what is before a stretch does not move the boundaries inside', async () => {
  const bytes = seededBytes(4 * MIB, 5)
  const ends = (file: FileChunks) => {
    const all = lengthsOf(file).map((_, index) => file.size - chunkOffset(file, index))
    return new Set(all)
  }
  const before = ends(await hashBytes(bytes))
  const after = ends(await hashBytes(Buffer.concat([seededBytes(12_345, 6), bytes])))
  expect(before.intersection(after).size).toBeGreaterThan(before.size * 0.8)
})

test.each([
  ['nothing', Buffer.alloc(0)],
  ['one byte', Buffer.alloc(1)],
  ['random bytes', seededBytes(9 * MIB + 77, 7)],
  ['zeros', Buffer.alloc(7 * MIB + 5)],
  [
    'zeros around something',
    Buffer.concat([Buffer.alloc(3 * MIB), seededBytes(MIB, 8), Buffer.alloc(3 * MIB)]),
  ],
])('a file is cut as its bytes are, with threads and without: %s', async (_what, bytes) => {
  const path = join(await scratch(), 'file')
  await writeFile(path, bytes)
  const handle = await open(path, 'r+')
  onTestFinished(() => handle.close())
  const hasher = createFileHasher()
  onTestFinished(() => hasher.close())
  const expected = await hashBytes(bytes)
  expectChunksOf(bytes, expected)
  expect(await hashFile(handle, bytes.length)).toEqual(expected)
  expect(await hasher.hash(handle, bytes.length)).toEqual(expected)
  const target = await open(`${path}.copy`, 'w+')
  onTestFinished(() => target.close())
  expect(await hasher.verify(handle, expected, { copyTo: target })).toBe(true)
  expect(await verifyFile(target, expected)).toBe(true)
  if (bytes.length < 2 * MIB) return
  const at = bytes.length - 100_000
  await handle.write(Uint8Array.of(bytes[at]! ^ 1), 0, 1, at)
  expect(await hasher.verify(handle, expected)).toBe(false)
  expect(await verifyFile(handle, expected)).toBe(false)
})

test('several files go through the threads at once, and each ends as it should', async () => {
  const dir = await scratch()
  const hasher = createFileHasher()
  onTestFinished(() => hasher.close())
  const aborted = new AbortController()
  aborted.abort(new Error('enough'))
  await Promise.all(
    Array.from({ length: 12 }, async (_, index) => {
      const bytes = seededBytes(2 * MIB + index * 100_000, index)
      const path = join(dir, `${index}`)
      await writeFile(path, bytes)
      const handle = await open(path, 'r')
      onTestFinished(() => handle.close())
      const signal = index === 5 ? aborted.signal : undefined
      if (index === 3) {
        const beyond = hasher.hash(handle, bytes.length + 1)
        await expect(beyond).rejects.toMatchObject({ code: 'INPUT_CHANGED' })
      } else if (index === 5) {
        await expect(hasher.hash(handle, bytes.length, { signal })).rejects.toThrow('enough')
      } else {
        expect(await hasher.hash(handle, bytes.length)).toEqual(await hashBytes(bytes))
      }
    }),
  )
})

test('closing ends what is under way', async () => {
  const path = join(await scratch(), 'file')
  await writeFile(path, seededBytes(64 * MIB, 9))
  const handle = await open(path, 'r')
  onTestFinished(() => handle.close())
  const hasher = createFileHasher()
  const hashing = hasher.hash(handle, 64 * MIB)
  const ended = expect(hashing).rejects.toMatchObject({ code: 'CLOSED' })
  await hasher.close()
  await ended
})
