import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { readControlFile, removeControlFile, writeControlFile } from '../src/index.ts'

const document = {
  url: 'http://127.0.0.1:1234',
  token: 'secret',
  pid: 1,
  peerId: '12D3KooFake',
  version: '0.1.0',
}
let directory: string
let path: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'manyhands-control-'))
  path = join(directory, 'control.json')
})
afterEach(() => rm(directory, { recursive: true }))

it('is readable by its owner alone, whatever it replaces', async () => {
  await writeFile(path, 'old', { mode: 0o644 })
  await writeControlFile(path, document)
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  expect(await readControlFile(path)).toEqual(document)
  expect(await readdir(directory)).toEqual(['control.json'])
})

it('is replaced by a rename, so that a reader never sees a part', async () => {
  await writeControlFile(path, document)
  const before = await stat(path)
  await writeControlFile(path, { ...document, pid: 2 })
  expect((await stat(path)).ino).not.toBe(before.ino)
})

it('tells a missing file from a broken one', async () => {
  expect(await readControlFile(path)).toBeUndefined()
  for (const text of ['', '{', 'null', '{"url":"http://127.0.0.1:1"}']) {
    await writeFile(path, text)
    await expect(readControlFile(path), text).rejects.toMatchObject({ code: 'STATE_CORRUPT' })
  }
})

it('leaves nothing behind when it cannot be written', async () => {
  const missing = join(directory, 'missing', 'control.json')
  await expect(writeControlFile(missing, document)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
  })
  expect(await readdir(directory)).toEqual([])
})

it('is removed only by the host that wrote it', async () => {
  await writeControlFile(path, document)
  await removeControlFile(path, 'of an older host')
  expect(JSON.parse(await readFile(path, 'utf8'))).toEqual(document)
  await removeControlFile(path, document.token)
  expect(await readControlFile(path)).toBeUndefined()
})
