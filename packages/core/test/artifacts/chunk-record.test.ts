import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { ChunkRecord } from '../../src/artifacts/chunk-record.ts'
import { listFiles, scratch } from './scratch.ts'

async function place() {
  const dir = await scratch()
  return { dir, path: join(dir, 'file.have') }
}

it('names in the next process what was added, with one write for many', async () => {
  const { path } = await place()
  const record = new ChunkRecord(path)
  expect(await record.read(10)).toBeUndefined()
  for (const chunk of [3, 1, 4]) record.add([chunk])
  await record.flush()
  record.add([5])
  await record.flush()
  expect(await new ChunkRecord(path).read(10)).toEqual(new Set([3, 1, 4, 5]))
  expect((await readFile(path)).length).toBe(4 * 4)
})

it('is written by itself, soon', async () => {
  const { path } = await place()
  new ChunkRecord(path).add([7])
  await expect.poll(() => new ChunkRecord(path).read(10)).toEqual(new Set([7]))
})

it('takes more chunks at once than a call takes arguments', async () => {
  const { path } = await place()
  const record = new ChunkRecord(path)
  const many = Array.from({ length: 300_000 }, (_, chunk) => chunk)
  record.add(many)
  await record.flush()
  expect((await new ChunkRecord(path).read(many.length))?.size).toBe(many.length)
})

it('has its room before the chunks have theirs', async () => {
  const { path } = await place()
  const record = new ChunkRecord(path)
  await record.begin(10)
  expect((await readFile(path)).length).toBe(10 * 4)
  expect(await new ChunkRecord(path).read(10)).toEqual(new Set())
  for (const chunk of [9, 0, 2]) {
    record.add([chunk])
    await record.flush()
  }
  expect((await readFile(path)).length).toBe(10 * 4)
  const next = new ChunkRecord(path)
  expect(await next.read(10)).toEqual(new Set([9, 0, 2]))
  next.add([5])
  await next.flush()
  expect(await new ChunkRecord(path).read(10)).toEqual(new Set([9, 0, 2, 5]))
})

it('what could not be written is written the next time', async () => {
  const { path } = await place()
  const record = new ChunkRecord(path)
  await mkdir(path)
  record.add([1, 2])
  await record.flush()
  await rmdir(path)
  record.add([3])
  await record.flush()
  expect(await new ChunkRecord(path).read(10)).toEqual(new Set([1, 2, 3]))
})

it('is gone when it is removed, also what is being written', async () => {
  const { dir, path } = await place()
  const record = new ChunkRecord(path)
  record.add([1])
  const flushed = record.flush()
  record.add([2])
  await record.remove()
  await flushed
  expect(await listFiles(dir)).toEqual([])
})

it('that nobody here has written counts for nothing', async () => {
  const { path } = await place()
  await writeFile(path, Buffer.alloc(4 * 4 * 2 + 4))
  expect(await new ChunkRecord(path).read(2)).toBeUndefined()
  await writeFile(path, Buffer.from([0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 9]))
  expect(await new ChunkRecord(path).read(2)).toEqual(new Set([1]))
})
