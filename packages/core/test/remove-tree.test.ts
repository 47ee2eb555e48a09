import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { removeTree } from '../src/remove-tree.ts'

describe('removing what a task has left', () => {
  let root: string
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'manyhands-remove-'))
  })
  afterEach(() => rm(root, { recursive: true, force: true }))

  it('leaves nothing of it, and everything that its links lead to', async () => {
    const [left, kept] = [join(root, 'left'), join(root, 'kept')]
    await mkdir(join(left, 'a', 'b'), { recursive: true })
    await mkdir(kept)
    await writeFile(join(kept, 'file'), 'mine')
    await symlink(kept, join(left, 'a', 'directory'))
    await symlink(join(kept, 'file'), join(left, 'a', 'b', 'file'))
    await writeFile(Buffer.concat([Buffer.from(`${left}/`), Buffer.from([0xff, 0xfe])]), 'no text')
    for (let index = 0; index < 500; index += 1) await writeFile(join(left, `${index}`), '')
    await removeTree(left)
    expect(existsSync(left)).toBe(false)
    expect(await readFile(join(kept, 'file'), 'utf8')).toBe('mine')
  })

  it('removes directories in directories', async () => {
    const deep = join(root, 'deep')
    let path = deep
    for (let level = 0; level < 300; level += 1) path = join(path, 'level')
    await mkdir(path, { recursive: true })
    await removeTree(deep)
    expect(existsSync(deep)).toBe(false)
  })

  it('is harmless when there is nothing, and removes a single file or link', async () => {
    await removeTree(join(root, 'none'))
    const link = join(root, 'link')
    await mkdir(join(root, 'target'))
    await writeFile(join(root, 'target', 'kept'), '')
    await symlink(join(root, 'target'), link)
    await removeTree(link)
    expect(existsSync(link)).toBe(false)
    expect(existsSync(join(root, 'target', 'kept'))).toBe(true)
    await writeFile(join(root, 'file'), '')
    await removeTree(join(root, 'file'))
    expect(existsSync(join(root, 'file'))).toBe(false)
  })
})
