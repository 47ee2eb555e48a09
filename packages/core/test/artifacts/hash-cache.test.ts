import {
  lstat,
  mkdir,
  open,
  readFile,
  rename,
  stat,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { createArtifactStore } from '@manyhands/core'
import { expect, test } from 'vitest'
import { createHashCache } from '../../src/artifacts/hash-cache.ts'
import { hashBytes } from '../../src/artifacts/hash-file.ts'
import { referToPath } from '../../src/artifacts/local-source.ts'
import { createFileHasher, type FileHasher } from '../../src/hashing/file-hasher.ts'
import { MIB, scratch, seededBytes, writeTree } from './scratch.ts'

/** A clock by which every file is old enough to be believed. */
const later = () => Date.now() + 60_000

/** Takes a path as a new process would, and says how many files were hashed. */
async function take(path: string, database: string, now = later) {
  const hasher = createFileHasher()
  let hashed = 0
  const counting: FileHasher = {
    ...hasher,
    hash: (...args) => {
      hashed += 1
      return hasher.hash(...args)
    },
  }
  const warnings: string[] = []
  const quiet = () => {}
  const logger = {
    debug: quiet,
    info: quiet,
    error: quiet,
    warn: (message: string) => warnings.push(message),
  }
  const cache = createHashCache({ path: database, now, logger })
  try {
    const { artifact } = await referToPath(path, { cache, hasher: counting })
    cache.save()
    return { root: artifact.root, hashed, warnings }
  } finally {
    cache.close()
    await hasher.close()
  }
}

/** The root that a path has for somebody who knows nothing. */
async function fresh(path: string): Promise<string> {
  const { root } = await take(path, join(await scratch(), 'other.db'))
  return root
}

const AT = new Date('2026-01-01')

async function setup() {
  const dir = await scratch()
  const tree = await writeTree(join(dir, 'project'), {
    'scene.bin': seededBytes(3 * MIB, 1),
    'texture.png': seededBytes(200_000, 2),
    empty: '',
    'notes.txt': 'notes',
  })
  // A time without fractions can be set again exactly.
  await utimes(join(tree, 'notes.txt'), AT, AT)
  const database = join(dir, 'hashes.db')
  const first = await take(tree, database)
  expect(first.hashed).toBe(4)
  return { dir, tree, database, root: first.root }
}

test('an unchanged tree is not hashed again by the next process', async () => {
  const { tree, database, root } = await setup()
  expect(await take(tree, database)).toEqual({ root, hashed: 0, warnings: [] })
})

test('a store keeps what it knows in its directory', async () => {
  const { dir, tree, root } = await setup()
  for (const _ of [1, 2]) {
    const store = await createArtifactStore({ dir: join(dir, 'store') })
    expect((await store.addPath(tree)).root).toBe(root)
    await store.close()
  }
  expect((await stat(join(dir, 'store/hashes.db'))).size).toBeGreaterThan(0)
})

test('a file with other bytes and the same size is hashed again', async () => {
  const { tree, database, root } = await setup()
  await writeFile(join(tree, 'notes.txt'), 'NOTES')
  const next = await take(tree, database)
  expect(next.hashed).toBe(1)
  expect(next.root).not.toBe(root)
  expect(next.root).toBe(await fresh(tree))
})

test('a file that was only touched is hashed again, and is the same', async () => {
  const { tree, database, root } = await setup()
  await utimes(join(tree, 'scene.bin'), new Date(), new Date())
  expect(await take(tree, database)).toMatchObject({ root, hashed: 1 })
  expect(await take(tree, database)).toMatchObject({ root, hashed: 0 })
})

test('a time that was set back does not hide a change', async () => {
  const { tree, database } = await setup()
  const path = join(tree, 'notes.txt')
  await writeFile(path, 'NOTES')
  await utimes(path, AT, AT)
  const next = await take(tree, database)
  expect(next.hashed).toBe(1)
  expect(next.root).toBe(await fresh(tree))
})

test('another file under the name does not pass for the one before', async () => {
  const { dir, tree, database } = await setup()
  const path = join(tree, 'notes.txt')
  await writeFile(join(dir, 'other'), 'OTHER')
  await utimes(join(dir, 'other'), AT, AT)
  await rename(join(dir, 'other'), path)
  const next = await take(tree, database)
  expect(next.hashed).toBe(1)
  expect(next.root).toBe(await fresh(tree))
})

test('the same content under another path is hashed: only a path is known', async () => {
  const { dir, tree, database, root } = await setup()
  await rename(tree, join(dir, 'moved'))
  expect(await take(join(dir, 'moved'), database)).toMatchObject({ root, hashed: 4 })
})

test('what changed in the very tick in which it is read is not remembered', async () => {
  const { dir } = await setup()
  const path = join(dir, 'young')
  await writeFile(path, 'young')
  const changed = Number((await lstat(path, { bigint: true })).ctimeMs)
  const database = join(dir, 'young.db')
  expect((await take(path, database, () => changed + 10)).hashed).toBe(1)
  expect((await take(path, database, () => changed + 10)).hashed).toBe(1)
  expect((await take(path, database, () => changed + 100)).hashed).toBe(1)
  expect((await take(path, database, () => changed + 100)).hashed).toBe(0)
})

test('a change of the inode alone is young as well: its time can be set back, that of the inode not', async () => {
  const { dir } = await setup()
  const path = join(dir, 'young')
  await writeFile(path, 'young')
  await utimes(path, 1, 1)
  const changed = Number((await lstat(path, { bigint: true })).ctimeMs)
  const database = join(dir, 'young.db')
  await take(path, database, () => changed + 10)
  expect((await take(path, database, () => changed + 10)).hashed).toBe(1)
})

test.each<[string, (path: string) => Promise<unknown>]>([
  ['cut off', async (path) => truncate(path, Math.floor((await stat(path)).size / 2))],
  ['cut to a byte', (path) => truncate(path, 1)],
  ['empty', (path) => truncate(path, 0)],
  ['no database', (path) => writeFile(path, 'this is no database at all'.repeat(400))],
  [
    'full of holes',
    async (path) => {
      const handle = await open(path, 'r+')
      const { size } = await handle.stat()
      for (let at = 4096; at < size; at += 4096)
        await handle.write(Buffer.alloc(2048, 7), 0, 2048, at)
      await handle.close()
    },
  ],
  [
    'of a later version',
    async (path) => {
      const database = new DatabaseSync(path)
      database.exec('PRAGMA user_version = 99')
      database.close()
    },
  ],
])('a cache file that is %s is begun anew', async (_what, damage) => {
  const { tree, database, root } = await setup()
  await damage(database)
  const next = await take(tree, database)
  expect(next.root).toBe(root)
  expect(next.hashed).toBe(4)
  expect(await take(tree, database)).toEqual({ root, hashed: 0, warnings: [] })
})

test('hashes that were altered in the file are not believed', async () => {
  const { tree, database, root } = await setup()
  const altering = new DatabaseSync(database)
  altering.exec("UPDATE hashes SET chunks = zeroblob(32) WHERE path LIKE '%notes.txt'")
  altering.exec("UPDATE hashes SET identity = identity || '1' WHERE path LIKE '%texture.png'")
  altering.close()
  expect(await take(tree, database)).toMatchObject({ root, hashed: 2 })
})

test('without a place for the file there is no cache, and no error', async () => {
  const { dir, tree, root } = await setup()
  await mkdir(join(dir, 'taken.db'))
  for (const _ of [1, 2]) {
    expect(await take(tree, join(dir, 'taken.db'))).toMatchObject({ root, hashed: 4 })
  }
})

test('a file that another process holds is left to it', async () => {
  const { tree, database, root } = await setup()
  const other = new DatabaseSync(database)
  other.exec('PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE')
  expect(await take(tree, database)).toMatchObject({ root, hashed: 4 })
  other.exec('ROLLBACK')
  other.close()
  expect(await take(tree, database)).toMatchObject({ root, hashed: 0 })
})

test('what was not asked for in the longest time is forgotten first', async () => {
  const dir = await scratch()
  const path = join(dir, 'hashes.db')
  const chunks = await hashBytes(new Uint8Array(1))
  const file = join(dir, 'file')
  await writeFile(file, 'x')
  const seen = await lstat(file, { bigint: true })
  const session = (work: (cache: ReturnType<typeof createHashCache>) => void) => {
    const cache = createHashCache({ path, now: later, databaseBytes: 100 * 1024 })
    work(cache)
    cache.close()
  }
  const one = { ...seen, size: 1n } as typeof seen
  session((cache) => {
    for (let index = 0; index < 200; index++) cache.set(`/old/${index}`, one, chunks, later())
  })
  session((cache) => {
    expect(cache.get('/old/7', one)).toEqual(chunks)
    for (let index = 0; index < 200; index++) cache.set(`/new/${index}`, one, chunks, later())
  })
  session((cache) => {
    expect(cache.get('/new/199', one)).toEqual(chunks)
    expect(cache.get('/old/7', one)).toEqual(chunks)
    expect(cache.get('/old/8', one)).toBeUndefined()
  })
  const bytes = (await readFile(path)).length
  expect(bytes).toBeLessThan(400 * 1024)
})
