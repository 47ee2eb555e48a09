/**
 * A guest that was taken over may say anything over its channel. What it says is made up here, byte by
 * byte, and given to the host's side of a machine.
 */
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DEFAULT_RESOURCES, type RuntimeExit } from '@manyhands/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { encodeFrame, FROM_GUEST, FrameReader } from '../src/guest-protocol.ts'
import { MicrovmTask } from '../src/microvm-task.ts'

let root: string
let outDir: string

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'manyhands-hostile-'))
  outDir = join(root, 'out')
  await mkdir(outDir)
})
afterEach(() => rm(root, { recursive: true, force: true }))

function end(code = 0, reason = 0): Buffer {
  const body = Buffer.alloc(60)
  body.writeInt32LE(code, 0)
  body.writeUInt32LE(reason, 8)
  return encodeFrame(FROM_GUEST.ended, body)
}

function file(path: string | Buffer, size: number | bigint, mode = 0o644): Buffer {
  const head = Buffer.alloc(12)
  head.writeBigUInt64LE(BigInt(size), 0)
  head.writeUInt32LE(mode, 8)
  return encodeFrame(FROM_GUEST.outFile, Buffer.concat([head, Buffer.from(path)]))
}

const directory = (path: string) => encodeFrame(FROM_GUEST.outDirectory, Buffer.from(path))
const data = (text: string) => encodeFrame(FROM_GUEST.outData, Buffer.from(text))
const done = encodeFrame(FROM_GUEST.done, Buffer.from([1]))

/** Runs a task whose guest says these bytes and then nothing; an iterable may go on for ever. */
async function exitOf(said: Iterable<Buffer>, diskBytes = 1024 ** 2): Promise<RuntimeExit> {
  const killed = Promise.withResolvers<void>()
  const machine = {
    pid: process.pid,
    running: true,
    lastWords: 'nothing',
    send() {},
    async kill() {
      machine.running = false
      killed.resolve()
    },
  }
  async function* frames() {
    const reader = new FrameReader()
    for (const bytes of said) {
      yield* reader.push(bytes)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  const task = new MicrovmTask({
    handle: { v: 1, runtime: 'microvm', id: 'hostile' },
    booted: { machine, frames: frames() } as never,
    outDir,
    resources: { ...DEFAULT_RESOURCES, diskBytes },
    maxRuntimeMs: 60_000,
    onGone: async () => {},
  })
  const exit = await task.wait()
  await killed.promise
  return exit
}

/** Everything below the test's directory besides `out` itself. */
async function written(): Promise<string[]> {
  return (await readdir(root, { recursive: true })).filter((path) => path !== 'out').sort()
}

describe('a guest that keeps the protocol', () => {
  it('hands over files and directories', async () => {
    const said = [end(), directory('a'), file('a/b', 5, 0o755), data('hel'), data('lo'), done]
    expect(await exitOf(said)).toMatchObject({ exitCode: 0, reason: 'exited' })
    expect(await readFile(join(outDir, 'a/b'), 'utf8')).toBe('hello')
  })

  it('may be cut anywhere', async () => {
    const all = Buffer.concat([end(7), file('x', 3), data('abc'), done])
    const said = Array.from(all, (byte) => Buffer.from([byte]))
    expect(await exitOf(said)).toMatchObject({ exitCode: 7, reason: 'exited' })
    expect(await readFile(join(outDir, 'x'), 'utf8')).toBe('abc')
  })
})

describe('names that lead elsewhere', () => {
  const names = [
    '../x',
    '/etc/manyhands-evil',
    'a/../../x',
    './x',
    'a//x',
    '',
    '.',
    '..',
    'a/',
    'x\0y',
    `${'n'.repeat(300)}`,
    `${'d/'.repeat(600)}x`,
    Buffer.from([0x66, 0xff, 0xfe]),
  ]
  for (const name of names) {
    it(`is refused: ${JSON.stringify(name.toString().slice(0, 30))}`, async () => {
      const exit = await exitOf([end(), file(name, 4), data('evil'), done])
      expect(exit).toMatchObject({ exitCode: 137, reason: 'exited' })
      expect(exit.detail).toMatch(/broke the protocol/)
      expect(await written()).toEqual([])
    })
  }

  it('a name twice, a file as a directory, a directory that nobody announced', async () => {
    for (const said of [
      [end(), file('x', 0), file('x', 0), done],
      [end(), file('y', 0), file('y/z', 0), done],
      [end(), file('nowhere/z', 0), done],
      [end(), directory('d'), directory('d'), done],
    ]) {
      expect((await exitOf(said)).detail).toMatch(/does not fit/)
    }
    expect(await written()).toEqual(['out/d', 'out/x', 'out/y'])
  })
})

describe('sizes that lie', () => {
  it('a file larger than the quota is not begun', async () => {
    expect(await exitOf([end(), file('x', 2n ** 63n), done])).toMatchObject({ reason: 'disk' })
    expect(await written()).toEqual([])
  })

  it('many files that are larger than the quota together', async () => {
    const files = Array.from({ length: 40 }, (_, index) => [
      file(`f${index}`, 30_000),
      data('x'.repeat(30_000)),
    ]).flat()
    expect(await exitOf([end(), ...files, done])).toMatchObject({ reason: 'disk' })
    expect((await written()).length).toBeLessThan(40)
  })

  it('a million names without content', async () => {
    function* said() {
      yield end()
      for (let index = 0; index < 1_000_000; index += 1) yield file(`f${index}`, 0)
    }
    expect(await exitOf(said(), 64 * 1024)).toMatchObject({ reason: 'disk' })
    expect((await written()).length).toBeLessThanOrEqual(256)
  })

  it('more content than promised, or less, or for no file', async () => {
    for (const said of [
      [end(), file('a', 3), data('four'), done],
      [end(), file('b', 3), data('ab'), done],
      [end(), file('c', 3), data('ab'), file('d', 0), done],
      [end(), data('x'), done],
    ]) {
      expect((await exitOf(said)).detail).toMatch(/broke the protocol/)
    }
  })
})

describe('words out of turn', () => {
  const cases: Record<string, Buffer[]> = {
    'outputs while the task runs': [file('x', 0)],
    'the last word first': [done],
    'two ends': [end(), end()],
    'output after the end': [end(), encodeFrame(FROM_GUEST.stdout, Buffer.from('x'))],
    'an unknown type': [encodeFrame(99)],
    'an end that is too short': [encodeFrame(FROM_GUEST.ended, Buffer.alloc(3))],
    'an end for no reason': [end(0, 77)],
    'a status that is too long': [encodeFrame(FROM_GUEST.status, Buffer.alloc(1000))],
    'a frame of four gigabytes': [Buffer.from([0xff, 0xff, 0xff, 0xff, 4])],
  }
  for (const [name, said] of Object.entries(cases)) {
    it(`${name} ends the machine as the task's failure`, async () => {
      expect(await exitOf(said)).toMatchObject({ exitCode: 137, reason: 'exited' })
      expect(await written()).toEqual([])
    })
  }

  it('a machine that says nothing more is lost, not finished', async () => {
    expect(await exitOf([])).toMatchObject({ exitCode: undefined, reason: 'engine-lost' })
    expect(await exitOf([end()])).toMatchObject({ exitCode: undefined, reason: 'engine-lost' })
  })

  it('a flood of output is bounded', async () => {
    const chunk = encodeFrame(FROM_GUEST.stdout, Buffer.alloc(32 * 1024, 'x'))
    const said = Array.from({ length: 400 }, () => chunk)
    expect(await exitOf([...said, end(), done])).toMatchObject({ exitCode: 0 })
  })
})
