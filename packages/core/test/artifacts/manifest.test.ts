import type { Manifest } from '@manyhands/core'
import { encodeDocument, LIMITS, ManyhandsError } from '@manyhands/core'
import { expect, test } from 'vitest'
import { chunkCount, chunkOffset } from '../../src/artifacts/chunk-layout.ts'
import { encodeManifest, fileId, readManifest } from '../../src/artifacts/manifest.ts'
import { comparePaths, unsafePathReason } from '../../src/artifacts/safe-path.ts'
import { atOnce } from '../../src/artifacts/turns.ts'

const file = (path: string, size = 0) => ({
  path,
  size,
  executable: false,
  chunks: new Uint8Array(size === 0 ? 0 : 32),
})
const tree = (paths: string[], directories: string[] = []): Manifest => ({
  v: 2,
  kind: 'tree',
  files: paths.map((path) => file(path)),
  directories,
})

function refusal(manifest: unknown): string {
  try {
    atOnce(readManifest(encodeDocument(manifest)))
  } catch (error) {
    expect(error).toBeInstanceOf(ManyhandsError)
    expect((error as ManyhandsError).code).toBe('PROTOCOL')
    return (error as Error).message
  }
  return 'accepted'
}

test('a canonical manifest survives and is named by its bytes', () => {
  const manifest = tree(['a', 'b/c', 'b/d'], ['empty', 'z/empty'])
  const { root, bytes } = encodeManifest(manifest)
  expect(atOnce(readManifest(bytes))).toEqual(manifest)
  expect(root).toBe('sha256:a3cd4dcb388c5eaffcfe14fc5c6665c106d3bfe1c2c5243900e29ebb99a027b5')
})

test('a file is named by its content alone', () => {
  expect(fileId(file('a', 5))).toBe(fileId({ ...file('b', 5), executable: true }))
  expect(fileId(file('a', 5))).not.toBe(fileId(file('a', 6)))
})

test.each([
  ['a parent', ['../x'], '..'],
  ['a parent inside', ['a/../../x'], '..'],
  ['an absolute path', ['/etc/passwd'], 'absolute'],
  ['a NUL', ['a\0b'], 'control'],
  ['a line break', ['a\nb'], 'control'],
  ['a backslash', ['a\\b'], 'backslash'],
  ['an empty part', ['a//b'], 'empty part'],
  ['a dot', ['./a'], 'part .'],
  ['no NFC', ['e\u0301'], 'NFC'],
  ['a lone surrogate', ['a\ufffd'], 'UTF-8'],
  ['a long name', ['a'.repeat(256)], 'more than 255'],
  ['a long path', [`${'a/'.repeat(600)}a`], 'more than 1024'],
  ['no name', [''], 'empty'],
  ['files that differ in case', ['A', 'a'], 'case'],
  ['directories that differ in case', ['A/x', 'a/y'], 'case'],
  ['a file and a directory that differ in case', ['A', 'a/y'], 'case'],
  ['a file that is a directory', ['a', 'a/b'], 'also a directory'],
  ['a repeated path', ['a', 'a'], 'repeated'],
  ['wrong order', ['b', 'a'], 'order'],
])('a received manifest with %s is refused', (_what, paths, reason) => {
  expect(refusal(tree(paths))).toContain(reason)
})

test('directories are held to the same rules', () => {
  expect(refusal(tree([], ['../x']))).toContain('..')
  expect(refusal(tree(['A/x'], ['a']))).toContain('case')
  expect(refusal(tree(['a/x'], ['a']))).toContain('also a directory')
})

test('a manifest cannot lie about a size', () => {
  const lying = { ...file('a', 5), size: 5 * LIMITS.chunkMaxBytes }
  expect(refusal({ ...tree([]), files: [lying] })).toContain('do not fit')
  const huge = { ...file('a'), size: Number.MAX_SAFE_INTEGER }
  expect(refusal({ ...tree([]), files: [huge] })).toContain('do not fit')
})

const [LEAST, MOST] = [LIMITS.chunkMinBytes, LIMITS.chunkMaxBytes]

/** A file of chunks of these lengths, that says what it likes about its size. */
function chunked(lengths: number[], size = lengths.reduce((sum, length) => sum + length, 0)) {
  const encoded = Buffer.alloc(lengths.length * 4)
  for (const [index, length] of lengths.entries()) encoded.writeUInt32BE(length, index * 4)
  const chunks = new Uint8Array(lengths.length * 32)
  return { path: 'a', size, executable: false, chunks, lengths: new Uint8Array(encoded) }
}

test.each([
  ['two of the least', chunked([LEAST, LEAST])],
  ['a short last one', chunked([MOST, LEAST, 1])],
  ['the greatest ones', chunked(new Array<number>(5000).fill(MOST))],
])('chunks of any allowed lengths are taken: %s', (_what, accepted) => {
  expect(refusal({ ...tree([]), files: [accepted] })).toBe('accepted')
})

test.each([
  ['do not add up', chunked([LEAST, LEAST], 2 * LEAST + 1), 'add up'],
  ['add up to less', chunked([LEAST, LEAST], 2 * LEAST - 1), 'add up'],
  ['hold a zero', chunked([LEAST, 0, LEAST]), 'a chunk of 0'],
  ['end in a zero', chunked([LEAST, LEAST, 0]), 'a chunk of 0'],
  ['are too short', chunked([LEAST - 1, LEAST]), 'a chunk of'],
  ['are too long', chunked([LEAST, MOST + 1]), 'a chunk of'],
  ['are as long as can be written', chunked([0xffffffff, 0xffffffff]), 'a chunk of 4294967295'],
  ['are missing', { ...chunked([LEAST, LEAST]), lengths: undefined }, 'the lengths'],
  ['are fewer', { ...chunked([LEAST, LEAST]), lengths: new Uint8Array(4) }, 'the lengths'],
  ['are more', { ...chunked([LEAST, LEAST]), lengths: new Uint8Array(12) }, 'the lengths'],
  ['are no whole numbers', { ...chunked([LEAST, LEAST]), lengths: new Uint8Array(7) }, 'lengths'],
  ['are of no whole hashes', { ...chunked([LEAST, LEAST]), chunks: new Uint8Array(65) }, 'whole'],
  ['are there for one chunk', chunked([5]), 'one chunk'],
  ['are there for none', chunked([]), 'one chunk'],
])('lengths of chunks that %s are refused', (_what, refused, reason) => {
  expect(refusal({ ...tree([]), files: [refused] })).toContain(reason)
})

test('one chunk is not longer than a chunk may be, and an empty file has none', () => {
  const one = (size: number) => ({ ...file('a', 1), size })
  expect(refusal({ ...tree([]), files: [one(MOST)] })).toBe('accepted')
  expect(refusal({ ...tree([]), files: [one(MOST + 1)] })).toContain('do not fit')
  expect(refusal({ ...tree([]), files: [one(0)] })).toContain('do not fit')
})

test.each([Number.MAX_SAFE_INTEGER + 1, 2 ** 60, -1, 0.5])('a size of %d is refused', (size) => {
  expect(refusal({ ...tree([]), files: [chunked([LEAST, LEAST], size)] })).not.toBe('accepted')
})

test('a size cannot make us allocate: what is kept is as long as the manifest', () => {
  const huge = chunked([LEAST, LEAST], Number.MAX_SAFE_INTEGER)
  const before = process.memoryUsage().arrayBuffers
  expect(refusal({ ...tree([]), files: [huge] })).toContain('add up')
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1024 * 1024)
})

test('a million chunks are checked once, and then each is found at once', () => {
  const count = 1_000_000
  const many = chunked(new Array<number>(count).fill(LEAST))
  const { bytes } = encodeManifest({ ...tree([]), files: [many] })
  const [decoded] = atOnce(readManifest(bytes)).files
  let looked = 0
  const lengths = decoded!.lengths!
  // Every look at the lengths is counted: each is read a bounded number of times, however many ask.
  const counting = new Proxy(lengths, {
    get(target, key) {
      if (typeof key === 'string' && /^\d+$/.test(key)) looked += 1
      return Reflect.get(target, key, target)
    },
  })
  const asked = { ...decoded!, lengths: counting }
  for (let index = 0; index < 1000; index++) {
    expect(chunkOffset(asked, index * 1000)).toBe(index * 1000 * LEAST)
  }
  expect(looked).toBeLessThanOrEqual(4 * count)
  expect(chunkCount(asked)).toBe(count)
})

test('a file is named by its chunks and their lengths', () => {
  const [one, other] = [chunked([LEAST, MOST]), chunked([MOST, LEAST])]
  expect(fileId(one)).not.toBe(fileId(other))
})

test('a manifest of the version before is refused', () => {
  expect(refusal({ ...tree(['a']), v: 1 })).toContain('v')
})

test('a single file has the empty path and stands alone', () => {
  expect(refusal({ v: 2, kind: 'file', files: [file('')], directories: [] })).toBe('accepted')
  expect(refusal({ v: 2, kind: 'file', files: [file('../x')], directories: [] })).toContain(
    'single',
  )
  expect(refusal({ v: 2, kind: 'file', files: [file('')], directories: ['a'] })).toContain('single')
})

test('unknown fields are refused: they would change the name but mean nothing', () => {
  expect(refusal({ ...tree(['a']), extra: 1 })).not.toBe('accepted')
})

test('names that Windows reserves are refused there only', () => {
  for (const path of ['aux.c', 'a/CON', 'a:b', 'x.', 'y ']) {
    expect(unsafePathReason(path, { windows: false })).toBeUndefined()
    expect(unsafePathReason(path, { windows: true })).toContain('Windows')
  }
})

test('paths are ordered as their bytes are', () => {
  const paths = ['a', 'a/b', 'a.b', 'é', '\uffee', '😀', 'z', 'aa']
  const byBytes = paths.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  expect(paths.toSorted(comparePaths)).toEqual(byBytes)
})
