import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve, sep } from 'node:path'
import type { TaskResult } from '@manyhands/core'
import { expect, it } from 'vitest'
import { fileNameOf, OutputSaver } from '../src/borrow/output-saver.ts'

const result = (key: string, saveTo: (directory: string) => Promise<string[]>) =>
  ({
    key,
    outputs: { files: [], artifact: '', saveTo, read: async () => new Uint8Array() },
  }) as unknown as TaskResult //

it('keeps ordinary keys as they are', () => {
  for (const key of ['7', '-3', 'scene 1', 'a=1,b=2', 'über', 'frame_0001.png', 'x@2', '日本']) {
    expect(fileNameOf(key)).toBe(key)
  }
})

it('never leaves the directory, and never gives two keys one name', () => {
  const keys = [
    '..',
    '.',
    '',
    '../../etc/passwd',
    '/etc/passwd',
    'a/b',
    'a%2fb',
    'a\\b',
    'a\0b',
    '.hidden',
    'trailing.',
    'trailing ',
    'C:x',
    '%2e%2e',
    '../',
    'a\nb',
    'x'.repeat(5000),
    `${'x'.repeat(5000)}y`,
    '日'.repeat(500),
  ]
  const names = keys.map(fileNameOf)
  expect(new Set(names).size).toBe(keys.length)
  for (const name of names) {
    const path = resolve('/base', name)
    expect(path.startsWith(`/base${sep}`) && path.lastIndexOf(sep) === 5, name).toBe(true)
    expect(Buffer.byteLength(name)).toBeLessThan(220)
    expect(name).not.toMatch(/^\.|[. ]$|[\\/:\0\n]/)
  }
})

it('saves several at once, but not without bound, and waits for all', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'manyhands-saver-'))
  const saver = new OutputSaver(directory)
  const gates: (() => void)[] = []
  let most = 0
  let open = 0
  const saved: string[] = []
  const save = (key: string) =>
    saver.save(
      result(key, async () => {
        open += 1
        most = Math.max(most, open)
        await new Promise<void>((resolve) => gates.push(resolve))
        open -= 1
        return []
      }),
      (path) => saved.push(path),
    )
  const all = (async () => {
    for (let key = 0; key < 10; key += 1) await save(String(key))
    await saver.finish()
  })()
  while (saved.length < 10) {
    gates.shift()?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  await all
  expect(most).toBe(4)
  expect(saved.sort()).toEqual(Array.from({ length: 10 }, (_, key) => join(directory, String(key))))
  expect(await readdir(directory)).toEqual([])
  await rm(directory, { recursive: true })
})

it('tells a failure at the latest in the end', async () => {
  const saver = new OutputSaver('/nowhere')
  const failing = result('1', () => Promise.reject(new Error('disk full')))
  await saver.save(failing, () => {}).catch(() => {})
  await expect(saver.finish()).rejects.toThrow('disk full')
})
