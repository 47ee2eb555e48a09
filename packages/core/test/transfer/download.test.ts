import { setImmediate } from 'node:timers/promises'
import { type Manifest, ManyhandsError } from '@manyhands/core'
import { expect, it, onTestFinished, vi } from 'vitest'
import { atOnce } from '../../src/artifacts/turns.ts'
import { bytesOf } from '../../src/transfer/block-pieces.ts'
import { blocksOf } from '../../src/transfer/blocks.ts'
import { Download } from '../../src/transfer/download.ts'
import type { LaneEvents, ReceivingLane } from '../../src/transfer/receiving-lane.ts'
import { MIB } from '../artifacts/scratch.ts'

const file = { path: '', size: 5, executable: false, chunks: new Uint8Array(32) }
const manifest: Manifest = { v: 2, kind: 'file', files: [file], directories: [] }

const receiving = {
  present: async () => new Set<number>(),
  place: () => ({ path: '/nowhere' }),
  written: async () => {},
  close: async () => {},
}

function downloadOf(
  manifest: Manifest,
  { signal = new AbortController().signal, shared = false } = {},
): Download {
  return new Download({
    manifest,
    blocks: atOnce(blocksOf(manifest)),
    self: 'self',
    shared,
    governor: undefined,
    stallMs: 1000,
    signal,
    logger: undefined,
    onWritten: () => {},
    onSource: () => {},
  })
}

it('that is cut before it begins tells who waits for it, and nobody else', async () => {
  const unhandled: unknown[] = []
  const listen = (reason: unknown) => unhandled.push(reason)
  process.prependListener('unhandledRejection', listen)
  onTestFinished(() => void process.off('unhandledRejection', listen))
  const controller = new AbortController()
  const download = downloadOf(manifest, { signal: controller.signal })
  expect(await download.plan(new Map([[0, { file: receiving, present: new Set() }]]))).toBe(5)
  controller.abort(new Error('cut'))
  await expect(download.receive()).rejects.toThrow('cut')
  // Once it has failed, it is not tried again.
  await expect(download.receive()).rejects.toThrow('cut')
  await setImmediate()
  expect(unhandled).toEqual([])
})

/** A lane that needs so long for each MiB, and what it was asked for as one, and at once, MiB. */
function laneIn(ms: number) {
  const asked: number[] = []
  const open = { now: 0, most: 0 }
  const openLane = async (events: LaneEvents): Promise<ReceivingLane> => ({
    path: 'stream',
    order: (orders) => {
      for (const { id, pieces } of orders) {
        const size = bytesOf(pieces) / MIB
        asked.push(size)
        open.now += size
        open.most = Math.max(open.most, open.now)
        // One after the other.
        setTimeout(() => {
          open.now -= size
          events.onDone(id)
        }, open.now * ms)
      }
    },
    end: async () => {},
    fail: async () => {},
  })
  return { asked, open, openLane }
}

/** A download of 64 MiB that plans by a clock of its own, and what resolves when it is here. */
function receiving64({ shared = false, written = receiving.written } = {}) {
  vi.useFakeTimers({ toFake: ['setTimeout', 'setInterval', 'performance'] })
  onTestFinished(() => void vi.useRealTimers())
  const lengths = Buffer.alloc(64 * 4)
  for (let chunk = 0; chunk < 64; chunk++) lengths.writeUInt32BE(MIB, chunk * 4)
  const chunks = Buffer.alloc(64 * 32)
  const big = { path: '', size: 64 * MIB, executable: false, chunks, lengths }
  const download = downloadOf({ v: 2, kind: 'file', files: [big], directories: [] }, { shared })
  const planned = download.plan(
    new Map([[0, { file: { ...receiving, written }, present: new Set() }]]),
  )
  const here = async () => {
    await planned
    const received = download.receive()
    // It may fail while time goes on.
    received.catch(() => {})
    await vi.advanceTimersByTimeAsync(60_000)
    await received
  }
  return { download, here }
}

it.each([
  { name: 'a fast provider is asked for several blocks as one', ms: 1, most: 4 },
  { name: 'a slow one for each alone, so that a cut costs little', ms: 500, most: 1 },
])('$name', async ({ ms, most }) => {
  const { download, here } = receiving64()
  const { asked, openLane } = laneIn(ms)
  download.addProvider({ peer: 'peer', origin: true, lanes: 1, openLane })
  await here()
  expect(asked.reduce((sum, each) => sum + each, 0)).toBe(64)
  expect(asked[0]).toBe(1)
  expect(Math.max(...asked)).toBe(most)
})

it.each([
  { name: 'is asked in small steps where its uplink may be scarce', ms: 25, most: 4 },
  { name: 'is not held up where it is not', ms: 1, most: 16 },
])('an owner that others may ask for the same $name', async ({ ms, most }) => {
  const { download, here } = receiving64({ shared: true })
  const { open, openLane } = laneIn(ms)
  download.addProvider({ peer: 'peer', origin: true, lanes: 1, openLane })
  await here()
  expect(open.most).toBeLessThanOrEqual(most + 4)
  expect(open.most).toBeGreaterThanOrEqual(most - 1)
})

it.each([
  { name: 'a provider that is fast gets another lane, one at a time', ms: 1, lanes: 2 },
  { name: 'one that is slow has enough of one', ms: 500, lanes: 1 },
])('$name', async ({ ms, lanes }) => {
  const { download, here } = receiving64()
  const lane = laneIn(ms)
  let opened = 0
  const openLane = (events: LaneEvents) => {
    opened += 1
    return lane.openLane(events)
  }
  download.addProvider({ peer: 'peer', origin: true, lanes: 2, openLane })
  expect(opened).toBe(1)
  await here()
  expect(opened).toBe(lanes)
})

it('another lane that cannot be opened is done without', async () => {
  const { download, here } = receiving64()
  const lane = laneIn(1)
  let tries = 0
  const openLane = async (events: LaneEvents) => {
    tries += 1
    if (tries > 1) throw new Error('no more')
    return lane.openLane(events)
  }
  download.addProvider({ peer: 'peer', origin: true, lanes: 2, openLane })
  await here()
  expect(tries).toBe(2)
})

it('writes nothing any more when it is closed, whatever of several blocks failed', async () => {
  let begun = 0
  let writing = 0
  let closed: Promise<number> | undefined
  const written = async () => {
    begun += 1
    // The last of those that were asked for as one.
    if (begun === 64) {
      const error = new ManyhandsError('INTERNAL', 'no room')
      closed = download.close(error).then(() => writing)
      throw error
    }
    writing += 1
    await new Promise((resolve) => setTimeout(resolve, 50))
    writing -= 1
  }
  const { download, here } = receiving64({ written })
  const { asked, openLane } = laneIn(1)
  download.addProvider({ peer: 'peer', origin: true, lanes: 1, openLane })
  await expect(here()).rejects.toThrow('no room')
  expect(await closed).toBe(0)
  expect(asked.at(-1)).toBeGreaterThan(1)
})
