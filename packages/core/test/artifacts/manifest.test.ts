import type { Manifest } from '@manyhands/core'
import { encodeDocument, LIMITS, ManyhandsError } from '@manyhands/core'
import { expect, test } from 'vitest'
import { decodeManifest, encodeManifest, fileId } from '../../src/artifacts/manifest.ts'
import { comparePaths, unsafePathReason } from '../../src/artifacts/safe-path.ts'

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
    decodeManifest(encodeDocument(manifest))
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
  expect(decodeManifest(bytes)).toEqual(manifest)
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
