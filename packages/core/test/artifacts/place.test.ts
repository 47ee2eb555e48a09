import {
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { createArtifactStore } from '@manyhands/core'
import { expect, onTestFinished, test } from 'vitest'
import { bytesOf, codeOf, listFiles, MIB, scratch, writeTree } from './scratch.ts'

async function setup() {
  const dir = await scratch()
  const store = await createArtifactStore({ dir: join(dir, 'store') })
  onTestFinished(() => store.close())
  const tree = await writeTree(join(dir, 'tree'), { 'a/b.txt': 'b', 'run.sh': 'r', 'same.sh': 'b' })
  await mkdir(join(tree, 'empty'))
  const stored = await store.collect(tree, ['**'])
  return { dir, store, stored, cas: join(dir, 'store/cas') }
}

const mode = async (path: string) => (await lstat(path)).mode & 0o777

test('by link: shared with the store, writable for nobody', async () => {
  const { dir, store, stored } = await setup()
  const target = join(dir, 'deep/in/target')
  await store.place(stored.root, target, 'link')
  expect(await listFiles(target)).toEqual(['a/b.txt', 'run.sh', 'same.sh'])
  expect(await mode(join(target, 'a/b.txt'))).toBe(0o444)
  expect(await mode(join(target, 'run.sh'))).toBe(0o555)
  expect(await mode(join(target, 'same.sh'))).toBe(0o555)
  expect((await stat(join(target, 'a/b.txt'))).nlink).toBe(2)
  expect((await stat(join(target, 'run.sh'))).nlink).toBe(2)
  expect((await lstat(join(target, 'empty'))).isDirectory()).toBe(true)
  // Once more over itself: nothing is left beside.
  await store.place(stored.root, target, 'link')
  expect(await listFiles(target)).toEqual(['a/b.txt', 'run.sh', 'same.sh'])
})

test("by copy: the caller's own files", async () => {
  const { dir, store, stored } = await setup()
  const target = join(dir, 'copy')
  await store.place(stored.root, target, 'copy')
  expect(await mode(join(target, 'a/b.txt'))).toBe(0o644)
  expect(await mode(join(target, 'run.sh'))).toBe(0o755)
  await writeFile(join(target, 'a/b.txt'), 'changed')
  expect(Buffer.from(await store.read(stored.root, 'a/b.txt')).toString()).toBe('b')
})

test.each(['link', 'copy'] as const)(
  '%s does not write through links in the target',
  async (how) => {
    const { dir, store, stored } = await setup()
    await writeTree(join(dir, 'victim'), { 'b.txt': 'victim' })
    const target = join(dir, 'target')
    await mkdir(target)
    await symlink(join(dir, 'victim'), join(target, 'a'))
    expect(await codeOf(store.place(stored.root, target, how))).toBe('PATH_UNSAFE')
    expect(await readFile(join(dir, 'victim/b.txt'), 'utf8')).toBe('victim')

    const other = join(dir, 'other')
    await mkdir(join(other, 'a'), { recursive: true })
    await symlink(join(dir, 'victim/b.txt'), join(other, 'a/b.txt'))
    await store.place(stored.root, other, how)
    expect(await readFile(join(dir, 'victim/b.txt'), 'utf8')).toBe('victim')
    await expect(readlink(join(other, 'a/b.txt'))).rejects.toThrow()
    expect(await readFile(join(other, 'a/b.txt'), 'utf8')).toBe('b')
  },
)

test('a single file goes to exactly its path', async () => {
  const { dir, store } = await setup()
  const { root } = await store.addBytes(Buffer.from('hello'))
  await store.place(root, join(dir, 'new/x'), 'link')
  expect(await readFile(join(dir, 'new/x'), 'utf8')).toBe('hello')
})

test('what is by reference is placed by copy and checked', async () => {
  const { dir, store } = await setup()
  await writeFile(join(dir, 'source'), 'source')
  const { root } = await store.addPath(join(dir, 'source'))
  await store.place(root, join(dir, 'placed'), 'link')
  expect((await stat(join(dir, 'source'))).nlink).toBe(1)
  expect(await mode(join(dir, 'placed'))).toBe(0o444)
  await writeFile(join(dir, 'source'), 'other')
  expect(await codeOf(store.place(root, join(dir, 'again'), 'copy'))).toBe('INPUT_CHANGED')
  expect(await listFiles(dir)).not.toContain('again')
})

test('holds: what somebody takes while the last one lets go of it stays', async () => {
  const { store, stored } = await setup()
  store.retain(stored.root, 'one')
  const releasing = store.release(stored.root, 'one')
  store.retain(stored.root, 'two')
  await releasing
  expect(store.has(stored.root)).toBe(true)
  expect(Buffer.from(await store.read(stored.root, 'run.sh')).toString()).toBe('r')
})

test('holds: removed with the last holder, shared files stay, nothing is removed on opening', async () => {
  const { dir, store, stored, cas } = await setup()
  const other = await store.addBytes(Buffer.from('b'))
  store.retain(stored.root, 'one')
  store.retain(stored.root, 'one')
  store.retain(stored.root, 'two')
  store.retain(other.root, 'one')
  await store.place(stored.root, join(dir, 'placed'), 'link')
  await store.release(stored.root, 'one')
  expect(await store.get(stored.root)).toBeDefined()
  await store.release(stored.root, 'two')
  expect(await store.get(stored.root)).toBeUndefined()
  expect(await codeOf(store.read(stored.root, 'run.sh'))).toBe('ARTIFACT_MISSING')
  expect(Buffer.from(await store.read(other.root, '')).toString()).toBe('b')
  // 'b' and its executable twin.
  expect(await listFiles(cas)).toHaveLength(2)
  expect(await readFile(join(dir, 'placed/run.sh'), 'utf8')).toBe('r')
  await store.close()

  await using again = await createArtifactStore({ dir: join(dir, 'store') })
  expect((await again.get(other.root))?.size).toBe(1)
  expect(await again.usage()).toMatchObject({ artifacts: 1, files: 2 })
  await again.gc({ keepBytes: 0 })
  expect(await again.usage()).toEqual({ artifacts: 0, files: 0, bytes: 0 })
})

test('addPath refuses links, and sees changes of what it hashed before', async () => {
  const { dir, store } = await setup()
  const tree = await writeTree(join(dir, 'input'), { a: '1', 'b/c': '2' })
  const first = await store.addPath(tree)
  expect((await store.addPath(tree)).root).toBe(first.root)
  await writeFile(join(tree, 'a'), '3')
  expect((await store.addPath(tree)).root).not.toBe(first.root)
  await symlink('a', join(tree, 'link'))
  expect(await codeOf(store.addPath(tree))).toBe('PATH_UNSAFE')
  expect(await codeOf(store.addPath(join(tree, 'link')))).toBe('PATH_UNSAFE')
  expect(await codeOf(store.addPath(join(tree, 'nothing')))).toBe('INPUT_UNREADABLE')
})

const SHM = '/dev/shm'
const shmDevice = await stat(SHM).catch(() => undefined)
const isOther = shmDevice !== undefined && shmDevice.dev !== (await stat(tmpdir())).dev
if (!isOther) {
  const reason = `${SHM} is no file system beside that of ${tmpdir()}`
  process.stderr.write(`a test with a second file system skipped: ${reason}\n`)
}

test.skipIf(!isOther)('collects from and places on another file system by copying', async () => {
  const { store } = await setup()
  const shm = await mkdtemp(join(SHM, 'manyhands-'))
  onTestFinished(() => rm(shm, { recursive: true, force: true }))
  const big = bytesOf(3.5 * MIB)
  const out = await writeTree(join(shm, 'out'), { big, 'x.sh': 'x' })
  const { root } = await store.collect(out, ['**'])
  expect(Buffer.from(await store.read(root, 'big')).equals(big)).toBe(true)
  await store.place(root, join(shm, 'placed'), 'link')
  expect((await readFile(join(shm, 'placed/big'))).equals(big)).toBe(true)
  expect(await mode(join(shm, 'placed/big'))).toBe(0o444)
  expect(await mode(join(shm, 'placed/x.sh'))).toBe(0o555)
})
