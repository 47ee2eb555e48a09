import { expect, test } from 'vitest'
import type { ManifestFile } from '../../src/artifacts/artifact-store.ts'
import { ChunkIndex } from '../../src/artifacts/chunk-index.ts'
import { joinChunks } from '../../src/artifacts/chunk-layout.ts'
import { fileId } from '../../src/artifacts/manifest.ts'
import { sha256Now } from '../../src/artifacts/sha256.ts'

const LENGTH = 64 * 1024
const hashOf = (name: string): Uint8Array => sha256Now(Buffer.from(name))
const find = (index: ChunkIndex, name: string) => index.find(file(name), 0)

/** A file whose chunks have these names. */
function file(...names: string[]): ManifestFile {
  const lengths = names.map(() => LENGTH)
  const chunks = joinChunks(LENGTH * names.length, names.map(hashOf), lengths)
  return { path: '', executable: false, ...chunks }
}
const numbered = (name: string, count: number) =>
  file(...Array.from({ length: count }, (_, index) => `${name} ${index}`))

test('a chunk is found in the file that has it, at its position', () => {
  const index = new ChunkIndex()
  const known = file('a', 'b', 'c')
  index.add(known)
  expect(find(index, 'c')).toEqual({ id: fileId(known), offset: 2 * LENGTH })
  expect(find(index, 'd')).toBeUndefined()
  index.add(file('alone'))
  expect(find(index, 'alone')).toBeUndefined()
})

test('a chunk of two files is found as long as one of them is here', () => {
  const index = new ChunkIndex()
  const [one, two] = [file('a', 'b'), file('x', 'a')]
  index.add(one)
  index.add(two)
  index.remove(fileId(one))
  expect(find(index, 'a')).toEqual({ id: fileId(two), offset: LENGTH })
  expect(find(index, 'b')).toBeUndefined()
  index.add(one)
  index.remove(fileId(two))
  expect(find(index, 'a')?.id).toBe(fileId(one))
})

test('it grows, and keeps what it has', () => {
  const index = new ChunkIndex()
  const files = Array.from({ length: 40 }, (_, number) => numbered(`${number}`, 100))
  for (const each of files) index.add(each)
  for (const number of files.keys()) {
    const found = find(index, `${number} 57`)
    expect(found).toEqual({ id: fileId(files[number]!), offset: 57 * LENGTH })
  }
})

test('it never has more than it may: the oldest files are forgotten first', () => {
  const index = new ChunkIndex(1000)
  for (let number = 0; number < 50; number++) {
    index.add(numbered(`${number}`, 100))
    expect(index.size).toBeLessThanOrEqual(1000)
  }
  expect(find(index, '49 0')).toBeDefined()
  for (let number = 42; number < 50; number++) expect(find(index, `${number} 99`)).toBeDefined()
  expect(find(index, '0 0')).toBeUndefined()
  index.add(numbered('large', 5000))
  expect(index.size).toBeLessThanOrEqual(1000)
  expect(find(index, 'large 4999')).toBeDefined()
})

test('what is gone makes room before anything is forgotten', () => {
  const index = new ChunkIndex(1000)
  const kept = numbered('kept', 100)
  index.add(kept)
  for (let number = 0; number < 100; number++) {
    const passing = numbered(`${number}`, 500)
    index.add(passing)
    index.remove(fileId(passing))
  }
  expect(find(index, 'kept 42')?.id).toBe(fileId(kept))
})

test('files full of one chunk take no place for each', () => {
  const index = new ChunkIndex()
  for (let number = 0; number < 100; number++) {
    index.add(file(`own ${number}`, ...new Array<string>(1000).fill('zeros')))
  }
  // Each table holds eight places of the chunk that all have.
  expect(index.size).toBe(108)
})
