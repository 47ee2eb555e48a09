import { execFileSync } from 'node:child_process'
import { link, lstat, mkdir, readFile, rename, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createArtifactStore, LIMITS } from '@manyhands/core'
import { expect, onTestFinished, test } from 'vitest'
import { openRegular } from '../../src/artifacts/open-regular.ts'
import { walkTree } from '../../src/artifacts/walk-tree.ts'
import { bytesOf, codeOf, listFiles, MIB, scratch, writeTree } from './scratch.ts'

async function setup(tree: Record<string, string | Uint8Array> = {}) {
  const dir = await scratch()
  const store = await createArtifactStore({ dir: join(dir, 'store') })
  onTestFinished(() => store.close())
  const out = await writeTree(join(dir, 'out'), tree)
  return { dir, store, out }
}

test('takes what the globs name, moves it, and says which globs took nothing', async () => {
  const big = bytesOf(2.5 * MIB)
  const { store, out, dir } = await setup({
    'frames/1.png': 'one',
    'frames/2.png': big,
    'frames/note.txt': 'no',
    'run.sh': '#!/bin/sh',
    '.hidden': 'h',
  })
  await mkdir(join(out, 'frames/empty'))
  const artifact = await store.collect(out, ['frames/*.png', '*.sh', '*.exr'])
  expect(artifact.manifest.files.map(({ path, executable }) => [path, executable])).toEqual([
    ['frames/1.png', false],
    ['frames/2.png', false],
    ['run.sh', true],
  ])
  expect(artifact.unmatched).toEqual(['*.exr'])
  expect(artifact.size).toBe(3 + big.length + 9)
  expect(await listFiles(out)).toEqual(['.hidden', 'frames/note.txt'])
  expect(Buffer.from(await store.read(artifact.root, 'frames/2.png')).equals(big)).toBe(true)
  for (const path of await listFiles(join(dir, 'store/cas'))) {
    expect((await lstat(join(dir, 'store/cas', path))).mode & 0o777).toBe(0o444)
  }
  const all = await store.collect(out, ['**'])
  expect(all.manifest.files.map(({ path }) => path)).toEqual(['.hidden', 'frames/note.txt'])
  expect(all.manifest.directories).toEqual(['frames/empty'])
  expect(await listFiles(join(dir, 'store/part'))).toEqual([])
})

test('an empty output directory is an empty artifact', async () => {
  const { store, out } = await setup()
  const artifact = await store.collect(out, ['**'])
  expect(artifact.manifest.files).toEqual([])
  expect(artifact.unmatched).toEqual(['**'])
})

test('the same content is kept once', async () => {
  const { store, out } = await setup({ a: 'same', b: 'same', c: 'other' })
  const artifact = await store.collect(out, ['**'])
  expect(artifact.manifest.files).toHaveLength(3)
  expect((await store.usage()).files).toBe(2)
})

test('refuses a symbolic link', async () => {
  const { store, out, dir } = await setup({ 'plain.txt': 'x' })
  await writeFile(join(dir, 'secret'), 'secret')
  await symlink(join(dir, 'secret'), join(out, 'leak.txt'))
  expect(await codeOf(store.collect(out, ['leak.txt']))).toBe('OUTPUT_UNSAFE')
  expect(await readFile(join(dir, 'secret'), 'utf8')).toBe('secret')
})

test('refuses a linked directory that a glob reaches', async () => {
  const { store, out, dir } = await setup()
  await writeTree(join(dir, 'elsewhere'), { 'secret.png': 'secret' })
  await symlink(join(dir, 'elsewhere'), join(out, 'frames'))
  expect(await codeOf(store.collect(out, ['frames/*.png']))).toBe('OUTPUT_UNSAFE')
  expect(await listFiles(join(dir, 'elsewhere'))).toEqual(['secret.png'])
})

test('refuses an output directory that is itself a link', async () => {
  const { store, out, dir } = await setup({ a: 'x' })
  await symlink(out, join(dir, 'linked'))
  expect(await codeOf(store.collect(join(dir, 'linked'), ['**']))).toBe('OUTPUT_UNSAFE')
})

test('passes by links that no glob reaches', async () => {
  const { store, out } = await setup({ 'result/a.txt': 'a' })
  await symlink('/etc', join(out, 'cache'))
  const artifact = await store.collect(out, ['result/*'])
  expect(artifact.manifest.files).toHaveLength(1)
})

test('refuses a pipe, without waiting for its other end', async () => {
  const { store, out } = await setup()
  execFileSync('mkfifo', [join(out, 'pipe')])
  expect(await codeOf(store.collect(out, ['**']))).toBe('OUTPUT_UNSAFE')
})

test('a pipe that takes the place of a file does not block', async () => {
  const { out } = await setup({ a: 'x' })
  const seen = await lstat(join(out, 'a'), { bigint: true })
  await rename(join(out, 'a'), join(out, 'b'))
  execFileSync('mkfifo', [join(out, 'a')])
  expect(await codeOf(openRegular(join(out, 'a'), seen, 'OUTPUT_UNSAFE'))).toBe('OUTPUT_UNSAFE')
})

test('refuses a file with a second name', async () => {
  const { store, out, dir } = await setup()
  await writeFile(join(dir, 'outside'), 'mine')
  await link(join(dir, 'outside'), join(out, 'inside'))
  expect(await codeOf(store.collect(out, ['**']))).toBe('OUTPUT_UNSAFE')
  await writeFile(join(dir, 'outside'), 'still writable')
})

test('refuses a file that was swapped for a link to it, between look and open', async () => {
  const { out } = await setup({ a: 'x' })
  const seen = await lstat(join(out, 'a'), { bigint: true })
  await rename(join(out, 'a'), join(out, 'real'))
  await symlink('real', join(out, 'a'))
  expect(await codeOf(openRegular(join(out, 'a'), seen, 'OUTPUT_UNSAFE'))).toBe('OUTPUT_UNSAFE')
})

test('refuses a file that was swapped for another, between look and open', async () => {
  const { out } = await setup({ a: 'x', other: 'y' })
  const seen = await lstat(join(out, 'a'), { bigint: true })
  await rename(join(out, 'other'), join(out, 'a'))
  expect(await codeOf(openRegular(join(out, 'a'), seen, 'OUTPUT_UNSAFE'))).toBe('OUTPUT_UNSAFE')
})

test('refuses a directory that is swapped for a link after it was seen', async () => {
  const { out, dir } = await setup({ 'a/x': 'x' })
  await writeTree(join(dir, 'elsewhere'), { secret: 's' })
  const walk = async () => {
    const reaches = (path: string) => {
      execFileSync('sh', [
        '-c',
        'mv "$1/a" "$1/../moved" && ln -s "$1/../elsewhere" "$1/a"',
        '-',
        out,
      ])
      return path === 'a'
    }
    const takes = (path: string) => path !== 'a'
    const found: string[] = []
    const options = { refusal: 'OUTPUT_UNSAFE' as const, reaches, takes }
    for await (const { path } of walkTree(out, options)) found.push(path)
    return found
  }
  expect(await codeOf(walk())).toBe('OUTPUT_UNSAFE')
})

test('refuses names that differ only in case, and names with control characters', async () => {
  const one = await setup({ 'a.txt': '1', 'A.txt': '2' })
  expect(await codeOf(one.store.collect(one.out, ['**']))).toBe('OUTPUT_UNSAFE')
  const two = await setup({ 'a\nb': '1' })
  expect(await codeOf(two.store.collect(two.out, ['**']))).toBe('OUTPUT_UNSAFE')
  const three = await setup()
  execFileSync('sh', ['-c', 'printf x > "$1/$(printf "\\377")"', '-', three.out])
  expect(await codeOf(three.store.collect(three.out, ['**']))).toBe('OUTPUT_UNSAFE')
})

test('refuses more entries than the limit, wherever they lie', async () => {
  const { out } = await setup({ a: '', 'b/c': '', 'b/d': '' })
  const walk = async (maxEntries: number) => {
    let count = 0
    for await (const _ of walkTree(out, { refusal: 'OUTPUT_UNSAFE', maxEntries })) count++
    return count
  }
  expect(await walk(4)).toBe(3)
  expect(await codeOf(walk(3))).toBe('LIMIT')
  expect(LIMITS.entriesPerArtifact).toBe(1_000_000)
})
