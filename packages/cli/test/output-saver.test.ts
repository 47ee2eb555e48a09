import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve, sep } from 'node:path'
import type { TaskResult } from '@manyhands/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { OutputEvent } from '../src/borrow/job-lines.ts'
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

describe('files of a task that runs', () => {
  let directory: string
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'manyhands-saver-'))
  })
  afterEach(() => rm(directory, { recursive: true, force: true }))

  const event = (path: string, text: string, state = 'arrived') =>
    ({
      task: 't',
      path,
      file: { state, saveTo: (to: string) => writeFile(to, text) },
    }) as unknown as OutputEvent
  const ended = (files: Record<string, string>) =>
    ({
      key: 't',
      outputs: {
        files: Object.keys(files).map((path) => ({ path, size: 1 })),
        saveTo: async (to: string) => {
          for (const [path, text] of Object.entries(files)) {
            await mkdir(dirname(join(to, path)), { recursive: true })
            await writeFile(join(to, path), text)
          }
          return []
        },
      },
    }) as unknown as TaskResult
  const saved = async () => {
    const found: Record<string, string> = {}
    for (const name of await readdir(directory, { recursive: true, withFileTypes: true })) {
      if (name.isDirectory()) continue
      const path = join(name.parentPath, name.name)
      found[path.slice(directory.length + 1)] = await readFile(path, 'utf8')
    }
    return found
  }

  it('are there at once, and give way to the result', async () => {
    const saver = new OutputSaver(directory)
    expect(await saver.saveEarly(event('a/b', 'early'))).toBe(join(directory, 't/a/b'))
    await saver.saveEarly(event('gone/x/y', 'early'))
    await saver.saveEarly(event('c', 'early'))
    expect(Object.keys(await saved()).sort()).toEqual(['t/a/b', 't/c', 't/gone/x/y'])
    // What was a directory may be a file in the end, and the other way round.
    await saver.save(ended({ 'a/b': 'late', gone: 'a file', 'c/d': 'below' }), () => {})
    await saver.finish()
    expect(await saved()).toEqual({ 't/a/b': 'late', 't/gone': 'a file', 't/c/d': 'below' })
  })

  it('are not saved once there is a result, and stay where there is none', async () => {
    const saver = new OutputSaver(directory)
    expect(await saver.saveEarly(event('a', 'late news', 'result'))).toBeUndefined()
    expect(await saver.saveEarly(event('a', 'of a lost host', 'provisional'))).toBeUndefined()
    await saver.saveEarly(event('b', 'early'))
    saver.skip(ended({}))
    await saver.finish()
    expect(await saved()).toEqual({ 't/b': 'early' })
  })

  it('that cannot be saved are no failure', async () => {
    const saver = new OutputSaver(directory)
    await saver.saveEarly(event('a', 'a file'))
    expect(await saver.saveEarly(event('a/b', 'below a file'))).toBeUndefined()
    await saver.save(ended({ 'a/b': 'late' }), () => {})
    await saver.finish()
    expect(await saved()).toEqual({ 't/a/b': 'late' })
  })
})
