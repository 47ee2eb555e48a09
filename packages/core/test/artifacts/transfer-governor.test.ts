import {
  createTransferGovernor,
  type LocalTransferGovernor,
  ManyhandsError,
  type TransferDirection,
  type TransferRules,
} from '@manyhands/core'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { codeOf, MIB } from './scratch.ts'

const PIECE = 256 * 1024
const HOUR = 3_600_000

beforeEach(() => {
  vi.useFakeTimers({ now: 0 })
  onTestFinished(() => {
    vi.useRealTimers()
  })
})

/** Peers that always have more to send, as far as they may. Returns how much each has sent so far. */
function greedy(
  governor: LocalTransferGovernor,
  pieces: Record<string, number>,
  direction: TransferDirection = 'up',
): Record<string, number> {
  const ended = new AbortController()
  onTestFinished(() => ended.abort())
  const sent = Object.fromEntries(Object.keys(pieces).map((peer) => [peer, 0]))
  for (const [peer, bytes] of Object.entries(pieces)) {
    void (async () => {
      while (!ended.signal.aborted) {
        await governor.take(direction, peer, bytes, ended.signal)
        sent[peer]! += bytes
        // An uncapped peer must not spin within one moment of the clock.
        await Promise.resolve()
      }
    })().catch(() => {})
  }
  return sent
}

async function sentIn(seconds: number, rules: TransferRules, pieces: Record<string, number>) {
  const sent = greedy(createTransferGovernor({ rules }), pieces)
  await vi.advanceTimersByTimeAsync(seconds * 1000)
  return sent
}

const sum = (sent: Record<string, number>) => Object.values(sent).reduce((a, b) => a + b, 0)

describe('caps', () => {
  test('without rules everything goes at once, and is counted', () => {
    const governor = createTransferGovernor()
    expect(governor.take('up', 'a', 5 * MIB)).toBeUndefined()
    expect(governor.take('down', 'a', 7)).toBeUndefined()
    expect(governor.take('down', 'b', 1)).toBeUndefined()
    expect(governor.totals()).toEqual({
      sent: 5 * MIB,
      received: 8,
      lastDay: { sent: 5 * MIB, received: 8 },
      daily: {},
      peers: [
        { peer: 'b', sent: 0, received: 1 },
        { peer: 'a', sent: 5 * MIB, received: 7 },
      ],
    })
  })

  test.each([
    ['small pieces', 1000],
    ['frames', PIECE],
    ['pieces beyond a second', 4 * MIB],
  ])('a rate is held, and used: %s', async (_, piece) => {
    const seconds = 30
    const total = sum(await sentIn(seconds, { upload: MIB }, { a: piece, b: piece }))
    expect(total).toBeLessThanOrEqual(MIB * (seconds + 0.25) + piece)
    expect(total).toBeGreaterThanOrEqual(MIB * (seconds - 1) - piece)
  })

  test('a pause saves up a quarter of a second, and no more', async () => {
    const governor = createTransferGovernor({ rules: { download: MIB } })
    await vi.advanceTimersByTimeAsync(HOUR)
    const got = greedy(governor, { a: 1024 }, 'down')
    await vi.advanceTimersByTimeAsync(1)
    expect(sum(got)).toBeLessThanOrEqual(MIB / 4 + 4096)
  })

  test('the directions have caps of their own', async () => {
    const governor = createTransferGovernor({ rules: { upload: MIB } })
    void governor.take('up', 'a', 10 * MIB)
    expect(governor.take('up', 'a', 1)).toBeInstanceOf(Promise)
    expect(governor.take('down', 'a', 100 * MIB)).toBeUndefined()
  })

  test('who waits is served in turn by bytes, whatever the size of pieces', async () => {
    const sent = await sentIn(60, { upload: MIB }, { a: 1000, b: 64 * 1024, c: MIB, d: PIECE })
    for (const bytes of Object.values(sent)) {
      expect(Math.abs(bytes - 15 * MIB)).toBeLessThanOrEqual(2 * MIB)
    }
  })

  test('one peer that has many streams gets no more than one that has one', async () => {
    const governor = createTransferGovernor({ rules: { upload: MIB } })
    const many = Array.from({ length: 50 }, () => greedy(governor, { many: PIECE }))
    const one = greedy(governor, { one: PIECE })
    await vi.advanceTimersByTimeAsync(40_000)
    const all = many.reduce((bytes, stream) => bytes + stream['many']!, 0)
    expect(Math.abs(all - one['one']!)).toBeLessThanOrEqual(2 * PIECE)
  })

  test('a peer at its own cap leaves the rest to others', async () => {
    const governor = createTransferGovernor({
      rules: { upload: 10 * MIB, perPeer: { upload: MIB } },
    })
    const sent = greedy(governor, { a: PIECE, b: PIECE })
    await vi.advanceTimersByTimeAsync(20_000)
    for (const peer of ['a', 'b']) {
      expect(sent[peer]).toBeLessThanOrEqual(20.25 * MIB + PIECE)
      expect(sent[peer]).toBeGreaterThanOrEqual(19 * MIB)
    }
  })

  test('changed rules hold at once, also for who waits', async () => {
    const governor = createTransferGovernor({ rules: { upload: 64 * 1024 } })
    void governor.take('up', 'a', 100 * MIB)
    let gone = false
    void governor.take('up', 'b', 1)?.then(() => {
      gone = true
    })
    await vi.advanceTimersByTimeAsync(60_000)
    expect(gone).toBe(false)
    governor.setRules({})
    await vi.advanceTimersByTimeAsync(0)
    expect(gone).toBe(true)
    governor.setRules({ upload: 64 * 1024 })
    void governor.take('up', 'a', MIB)
    expect(governor.take('up', 'a', 1)).toBeInstanceOf(Promise)
  })

  test('waiting ends with the signal, which nothing listens to afterwards', async () => {
    const governor = createTransferGovernor({ rules: { upload: 64 * 1024 } })
    void governor.take('up', 'a', MIB)
    const abort = new AbortController()
    const remove = vi.spyOn(abort.signal, 'removeEventListener')
    const waiting = governor.take('up', 'a', 1, abort.signal)
    abort.abort(new ManyhandsError('CANCELED', 'no more'))
    expect(await codeOf(waiting!)).toBe('CANCELED')
    expect(remove).toHaveBeenCalled()
    expect(await codeOf(governor.take('up', 'a', 1, abort.signal)!)).toBe('CANCELED')
  })

  test('what waits keeps no process alive', async () => {
    vi.useRealTimers()
    const governor = createTransferGovernor({ rules: { upload: 64 * 1024 } })
    void governor.take('up', 'a', MIB)
    // Only what keeps a process alive is listed.
    const before = process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length
    void governor.take('up', 'a', MIB)
    const after = process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length
    expect(after).toBe(before)
    governor.setRules({})
  })

  test('more than can be open does not wait', async () => {
    const governor = createTransferGovernor({ rules: { upload: 64 * 1024 } })
    void governor.take('up', 'a', MIB)
    for (let n = 0; n < 65_536; n++) void governor.take('up', `peer ${n % 500}`, 1)
    expect(await codeOf(governor.take('up', 'b', 1)!)).toBe('LIMIT')
    governor.setRules({})
  })
})

describe('the quota of a day', () => {
  const rules = { daily: { upload: 10 * MIB, download: 20 * MIB } }

  test('is never exceeded, and told as the host’s own', async () => {
    const governor = createTransferGovernor({ rules })
    expect(governor.take('up', 'a', 6 * MIB)).toBeUndefined()
    expect(governor.usedUp('up')).toBeUndefined()
    const error = await governor.take('up', 'b', 5 * MIB)!.catch((thrown) => thrown)
    expect(error).toMatchObject({ code: 'TRANSFER_QUOTA', blame: 'host', retryable: true })
    expect(error.message).toContain('6.0 MiB of 10.0 MiB upload used in the last 24 hours')
    expect(governor.take('up', 'a', 4 * MIB)).toBeUndefined()
    expect(await codeOf(governor.take('up', 'a', 1)!)).toBe('TRANSFER_QUOTA')
    expect(governor.usedUp('up')).toContain('free again in')
    expect(governor.usedUp('down')).toBeUndefined()
    expect(governor.totals()).toMatchObject({ sent: 10 * MIB, lastDay: { sent: 10 * MIB } })
  })

  test('counts what waits, so that many who wait together do not use more', async () => {
    const governor = createTransferGovernor({ rules: { ...rules, upload: MIB } })
    const turns = Array.from({ length: 100 }, (_, n) => governor.take('up', `${n}`, MIB))
    const ends = Promise.all(turns.map((turn) => codeOf(turn ?? Promise.resolve())))
    await vi.advanceTimersByTimeAsync(200_000)
    expect((await ends).filter((code) => code === 'resolved')).toHaveLength(10)
  })

  test('no 24 hours see more, at whatever moment it is used', async () => {
    const governor = createTransferGovernor({ rules })
    await vi.advanceTimersByTimeAsync(599_000)
    expect(governor.take('up', 'a', 10 * MIB)).toBeUndefined()
    await vi.advanceTimersByTimeAsync(24 * HOUR - 1000)
    expect(await codeOf(governor.take('up', 'a', MIB)!)).toBe('TRANSFER_QUOTA')
    await vi.advanceTimersByTimeAsync(600_000)
    expect(governor.take('up', 'a', 10 * MIB)).toBeUndefined()
  })

  test('goes on after a restart, and nothing is lost of the sums', async () => {
    const first = createTransferGovernor({ rules })
    void first.take('up', 'a', 9 * MIB)
    void first.take('down', 'b', 3)
    expect(first.changed).toBe(true)
    const record = JSON.parse(JSON.stringify(first.record()))
    expect(first.changed).toBe(false)
    const second = createTransferGovernor({ rules, record })
    expect(second.totals()).toEqual(first.totals())
    expect(await codeOf(second.take('up', 'a', 2 * MIB)!)).toBe('TRANSFER_QUOTA')
  })

  test('a clock that was set back forgets nothing, and keeps nothing for years', async () => {
    vi.setSystemTime(13 * 365 * 24 * HOUR)
    const wrong = createTransferGovernor({ rules })
    void wrong.take('up', 'a', 10 * MIB)
    vi.setSystemTime(1000 * HOUR)
    const governor = createTransferGovernor({ rules, record: wrong.record() })
    expect(await codeOf(governor.take('up', 'a', MIB)!)).toBe('TRANSFER_QUOTA')
    vi.setSystemTime(1024.5 * HOUR)
    expect(governor.take('up', 'a', MIB)).toBeUndefined()
  })

  test('where less is left than a piece that was refused, it counts as used up until some is free', async () => {
    const governor = createTransferGovernor({ rules })
    void governor.take('down', 'a', 10 * MIB)
    await vi.advanceTimersByTimeAsync(HOUR)
    void governor.take('down', 'a', 7 * MIB)
    expect(governor.usedUp('down')).toBeUndefined()
    expect(await codeOf(governor.take('down', 'a', 4 * MIB)!)).toBe('TRANSFER_QUOTA')
    expect(governor.usedUp('down')).toBeDefined()
    await vi.advanceTimersByTimeAsync(23.5 * HOUR)
    expect(governor.usedUp('down')).toBeUndefined()
  })

  test('of nothing is used up from the start', () => {
    const governor = createTransferGovernor({ rules: { daily: { download: 0 } } })
    expect(governor.usedUp('down')).toContain('0 B of 0 B')
  })
})

test('peers beyond a thousand are forgotten, their bytes are not', () => {
  const governor = createTransferGovernor({ rules: { upload: 1000 * MIB } })
  for (let n = 0; n < 5000; n++) void governor.take('up', `peer ${n}`, 1)
  const { sent, peers } = governor.totals()
  expect(sent).toBe(5000)
  expect(peers).toHaveLength(1024)
  expect(peers[0]!.peer).toBe('peer 4999')
})
