import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import {
  appendFile,
  type FileHandle,
  link,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import {
  createArtifactStore,
  type LiveFile,
  liveTreesSupported,
  openLiveTree,
} from '@manyhands/core'
import { describe, expect, onTestFinished, test } from 'vitest'
import { bytesOf, codeOf, MIB, scratch, writeTree } from './scratch.ts'

if (!liveTreesSupported) process.stderr.write('live trees are not tried: they need Linux\n')

const SECRET = 'the secret of the host'
const LOOK = { maxEntries: 10_000 }

async function setup(tree: Record<string, string | Uint8Array> = {}, globs = ['**']) {
  const dir = await scratch()
  const store = await createArtifactStore({ dir: join(dir, 'store') })
  onTestFinished(() => store.close())
  const out = await writeTree(join(dir, 'out'), tree)
  await mkdir(join(dir, 'host/frames'), { recursive: true })
  for (const name of ['frames/a', 'secret', 'a']) await writeFile(join(dir, 'host', name), SECRET)
  return { dir, out, store, tree: openLiveTree(out, globs), host: join(dir, 'host') }
}

async function textOf(file: LiveFile, tree: ReturnType<typeof openLiveTree>) {
  const handle = await tree.open(file)
  if (handle === undefined) return undefined
  return handle.readFile('utf8').finally(() => handle.close())
}

describe.skipIf(!liveTreesSupported)('a tree that somebody writes to', () => {
  test('has the plain files that the globs take, and nothing else is opened', async () => {
    const { tree, out, host } = await setup(
      { 'frames/1.png': 'one', 'frames/note.txt': 'no', 'deep/er/2.png': 'two', x: 'no' },
      ['frames/*.png', 'deep/**', 'links/**', 'pipe', 'twice*'],
    )
    chmodSync(join(out, 'deep/er/2.png'), 0o755)
    await mkdir(join(out, 'links'))
    await symlink(join(host, 'secret'), join(out, 'links/secret'))
    await symlink(join(host, 'frames'), join(out, 'links/frames'))
    await symlink(host, join(out, 'deep/host'))
    execFileSync('mkfifo', [join(out, 'pipe')])
    await writeFile(join(out, 'twice'), 'two names')
    await link(join(out, 'twice'), join(out, 'twice2'))
    const { files, whole } = await tree.files(LOOK)
    expect(whole).toBe(true)
    expect(files.map(({ path, size, executable }) => [path, size, executable]).sort()).toEqual([
      ['deep/er/2.png', 3, true],
      ['frames/1.png', 3, false],
    ])
    expect(await Promise.all(files.map((file) => textOf(file, tree)))).toContain('one')
  })

  test('is looked at in bounds: entries, levels, names that travel', async () => {
    const { tree, out } = await setup()
    for (let index = 0; index < 200; index += 1) await writeFile(join(out, `${index}`), '')
    expect(await tree.files({ maxEntries: 200 })).toMatchObject({ whole: true })
    const { files, whole } = await tree.files({ maxEntries: 150 })
    expect([files.length, whole]).toEqual([150, false])
    const deep = join(out, 'd/'.repeat(40))
    await mkdir(deep, { recursive: true })
    await writeFile(join(deep, 'f'), '')
    await writeFile(join(out, 'a\\b'), '')
    await writeFile(join(out, 'line\nbreak'), '')
    expect((await tree.files(LOOK)).files).toHaveLength(200)
  })

  test('leaves no descriptor open, also when it is broken off', async () => {
    const { tree, out } = await setup({ 'a/b/c': 'x', 'a/d': 'y' })
    const count = async () => (await readdir('/proc/self/fd')).length
    const before = await count()
    const { files } = await tree.files(LOOK)
    for (const file of files) await (await tree.open(file))?.close()
    await tree.open({ ...files[0]!, path: 'a/none' })
    await tree.open({ ...files[0]!, path: 'a/d/below' })
    await expect(tree.files({ ...LOOK, signal: AbortSignal.abort('enough') })).rejects.toBe(
      'enough',
    )
    await rm(out, { recursive: true })
    await expect(tree.files(LOOK)).rejects.toThrow('ENOENT')
    expect(await count()).toBe(before)
  })

  test.each<[string, (path: string, host: string) => Promise<void>]>([
    [
      'the file is a link by now',
      async (path, host) => {
        await rm(path)
        await symlink(join(host, 'a'), path)
      },
    ],
    [
      'the file is a pipe by now',
      async (path) => {
        await rm(path)
        execFileSync('mkfifo', [path])
      },
    ],
    [
      'the file is another one by now',
      async (path) => {
        await writeFile(`${path}.new`, 'mine')
        await rename(`${path}.new`, path)
      },
    ],
    ['the file was written to', (path) => appendFile(path, '!')],
    ['the file has a second name', (path) => link(path, `${path}2`)],
    [
      'its directory is a link by now',
      async (path, host) => {
        await rename(join(path, '..'), join(path, '../../aside'))
        await symlink(join(host, 'frames'), join(path, '..'))
      },
    ],
    ['its directory is gone', (path) => rm(join(path, '..'), { recursive: true })],
  ])('does not open what was seen when %s', async (_, change) => {
    const { tree, out, host } = await setup({ 'frames/a': SECRET })
    const [file] = (await tree.files(LOOK)).files
    expect(await textOf(file!, tree)).toBe(SECRET)
    await change(join(out, 'frames/a'), host)
    expect(await tree.open(file!)).toBeUndefined()
  })

  test.each([
    ['directories', 'frames'],
    ['files', 'secret'],
  ])('follows no link that comes in the place of %s between two steps', async (kind, target) => {
    const { tree, out, host } = await setup()
    const names = Array.from({ length: 300 }, (_, index) => join(out, `${index}`))
    for (const name of names) kind === 'files' ? writeFileSync(name, '') : mkdirSync(name)
    // The look rests after 128 entries: the next one has been read, and not been touched.
    const looking = tree.files(LOOK)
    for (const name of names) {
      rmSync(name, { recursive: true })
      symlinkSync(join(host, target), name)
    }
    for (const { path, size } of (await looking).files) expect([path, size]).toEqual([path, 0])
  })

  test('shows nothing beside it, whatever is swapped for links meanwhile', async () => {
    const { tree, out, host, store } = await setup()
    // Forty entries before it, so that there is time between its name and what is under it.
    for (let index = 0; index < 40; index += 1) await mkdir(join(out, `d${index}`))
    const script = [
      'while :; do',
      '  rm -rf frames a; mkdir frames; echo mine >frames/a; echo mine >a',
      '  mv frames away; ln -s "$1/frames" frames; rm a; ln -s "$1/secret" a',
      '  rm frames; mv away frames',
      'done',
    ].join('\n')
    const swapper = spawn('/bin/sh', ['-c', script, 'sh', host], { cwd: out, stdio: 'ignore' })
    const gone = once(swapper, 'exit')
    let taken = 0
    let swapped = 0
    try {
      for (let look = 0; look < 300; look += 1) {
        const { files } = await tree.files(LOOK)
        for (const file of files) {
          // What is no file of the task's does not even appear.
          expect([5, 0]).toContain(file.size)
          const handle = await tree.open(file)
          if (handle === undefined) {
            swapped += 1
            continue
          }
          const artifact = await store
            .addFile(handle, { holder: 'test', maxBytes: 100 })
            .catch(() => undefined)
            .finally(() => handle.close())
          if (artifact === undefined) continue
          const text = Buffer.from(await store.read(artifact.root, '')).toString()
          expect(text).not.toContain('secret')
          taken += 1
        }
      }
    } finally {
      swapper.kill('SIGKILL')
      await gone
    }
    expect(taken).toBeGreaterThan(0)
    expect(swapped).toBeGreaterThan(0)
  })
})

async function write(path: string, position: number): Promise<void> {
  const handle = await open(path, 'r+')
  await handle.write('x', position).finally(() => handle.close())
}

describe.skipIf(!liveTreesSupported)('a file that is taken by copy', () => {
  const take = async (
    { tree, store }: Awaited<ReturnType<typeof setup>>,
    options: { holder?: string; maxBytes?: number; signal?: AbortSignal } = {},
  ) => {
    const [file] = (await tree.files(LOOK)).files
    const handle = await tree.open(file!)
    try {
      return await store.addFile(handle!, { holder: 'me', ...options })
    } finally {
      await handle!.close()
    }
  }

  test('is an artifact of its own, whatever becomes of the file', async () => {
    const content = bytesOf(3.5 * MIB)
    const place = await setup({ 'a.bin': content })
    const artifact = await take(place)
    await writeFile(join(place.out, 'a.bin'), 'other')
    expect(artifact.manifest).toMatchObject({
      kind: 'file',
      files: [{ path: '', size: content.length }],
    })
    expect(Buffer.from(await place.store.read(artifact.root, '')).equals(content)).toBe(true)
    await place.store.release(artifact.root, 'me')
    expect(await place.store.usage()).toEqual({ bytes: 0, files: 0, artifacts: 0 })
  })

  test('is not kept twice when the tree is collected', async () => {
    const content = bytesOf(2 * MIB)
    const place = await setup({ 'a.bin': content })
    const artifact = await take(place)
    const tree = await place.store.collect(place.out, ['**'])
    expect((await place.store.usage()).bytes).toBe(content.length)
    await place.store.release(artifact.root, 'me')
    expect(Buffer.from(await place.store.read(tree.root, 'a.bin')).equals(content)).toBe(true)
  })

  test('is held from the start, whoever lets go of the same content', async () => {
    const place = await setup({ a: 'same' })
    const first = await take(place, { holder: 'first' })
    const [second] = await Promise.all([
      take(place, { holder: 'second' }),
      place.store.release(first.root, 'first'),
    ])
    expect(second.root).toBe(first.root)
    expect(Buffer.from(await place.store.read(first.root, '')).toString()).toBe('same')
  })

  test('is refused when it is too large, has changed, or nobody wants it any more', async () => {
    const place = await setup({ a: bytesOf(5 * MIB) })
    expect(await codeOf(take(place, { maxBytes: MIB }))).toBe('LIMIT')
    await expect(take(place, { signal: AbortSignal.abort('enough') })).rejects.toBe('enough')
    const path = join(place.out, 'a')
    const handle = await open(path)
    const touched = {
      stat: handle.stat.bind(handle),
      // Nothing of its size, nothing that was read before: one byte in the middle.
      read: async (bytes: Uint8Array, offset: number, length: number, position: number) => {
        if (position > 2 * MIB) await write(path, MIB)
        return handle.read(bytes, offset, length, position)
      },
    } as unknown as FileHandle
    expect(await codeOf(place.store.addFile(touched, { holder: 'me' }))).toBe('INPUT_CHANGED')
    await handle.close()
    expect(await readdir(join(place.dir, 'store/part'))).toEqual([])
  })
})
