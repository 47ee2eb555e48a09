import { multiaddr } from '@multiformats/multiaddr'
import { expect, test } from 'vitest'
import { LIMITS } from '../../src/limits.ts'
import { addressKey } from '../../src/network/manners/address-key.ts'
import { FramePace } from '../../src/network/manners/frame-pace.ts'
import { HeldFrames } from '../../src/network/manners/held-frames.ts'
import { Standings } from '../../src/network/manners/standings.ts'
import { TokenBucket } from '../../src/network/manners/token-bucket.ts'

const TIMES = { firstMs: 1000, longestMs: 4000 }

function standings() {
  const clock = { ms: 0 }
  const table = new Standings({ banPoints: 100, times: () => TIMES, now: () => clock.ms })
  return { clock, table }
}

test('points fade, and who reaches too many is banned for a while', () => {
  const { clock, table } = standings()
  expect(table.add('a', 60, 'malformed')).toBeUndefined()
  clock.ms += LIMITS.offenceHalfLifeMs
  expect(table.points('a')).toBe(30)
  expect(table.add('a', 60, 'malformed')).toBeUndefined()
  expect(table.add('a', 60, 'slow')).toEqual({ who: 'a', offence: 'slow', times: 1, leftMs: 1000 })
  expect(table.banned('a')).toBe(true)
  expect(table.banned('b')).toBe(false)
  clock.ms += 1001
  expect(table.banned('a')).toBe(false)
  expect(table.bans()).toEqual([])
})

test('each ban is twice as long, to a most; after a good while the next is a first one', () => {
  const { clock, table } = standings()
  const left = (): number | undefined => table.add('a', 100, 'flood')?.leftMs
  const all = [1, 2, 3, 4].map(() => {
    const ms = left()
    clock.ms += 5000
    return ms
  })
  expect(all).toEqual([1000, 2000, 4000, 4000])
  clock.ms += LIMITS.banForgottenMs + 5000
  expect(left()).toBe(1000)
})

test('what is done during a ban does not lengthen it', () => {
  const { clock, table } = standings()
  table.add('a', 100, 'flood')
  clock.ms += 500
  expect(table.add('a', 1000, 'flood')).toBeUndefined()
  expect(table.bans()[0]?.leftMs).toBe(500)
})

test('the table is bounded; bans are kept as long as there is something else to forget', () => {
  const { table } = standings()
  table.add('banned', 100, 'flood')
  for (let index = 0; index < 2 * LIMITS.standings; index++) table.add(`peer ${index}`, 1, 'cut')
  expect(table.banned('banned')).toBe(true)
  expect(table.points('peer 0')).toBe(0)
  expect(table.points(`peer ${2 * LIMITS.standings - 1}`)).toBe(1)
})

test('a bucket gives so many at once and then so many a second', () => {
  const clock = { ms: 0 }
  const bucket = new TokenBucket(10, 20, () => clock.ms)
  const taken = () => Array.from({ length: 40 }, () => bucket.take()).filter(Boolean).length
  expect(taken()).toBe(20)
  clock.ms += 500
  expect(taken()).toBe(5)
  clock.ms += 60_000
  expect(taken()).toBe(20)
})

test('a frame that trickles is slow; one that stalls and one that comes in large pieces are not', () => {
  const clock = { ms: 0 }
  const pace = () => new FramePace(() => clock.ms)
  const feed = (frame: FramePace, bytes: number, everyMs: number, pieces: number) => {
    for (let piece = 0; piece < pieces; piece++) {
      if (frame.slow(bytes, true)) return true
      clock.ms += everyMs
    }
    return false
  }
  expect(feed(pace(), 1, 1000, 6)).toBe(true)
  expect(feed(pace(), 1000, 1000, 60)).toBe(false)
  const stalled = pace()
  expect(feed(stalled, 100, 600_000, 2)).toBe(false)
  expect(stalled.slow(100, false)).toBe(false)
  expect(feed(stalled, 100, 100, 20)).toBe(false)
})

test('what is held is bounded for one peer and for all', () => {
  const held = new HeldFrames()
  expect(held.take('a', LIMITS.peerHeldBytes)).toBe(true)
  expect(held.take('a', 1)).toBe(false)
  held.give('a', 10)
  expect(held.take('a', 10)).toBe(true)
  const others = LIMITS.heldBytes / LIMITS.peerHeldBytes - 1
  for (let peer = 0; peer < others; peer++) held.take(`peer ${peer}`, LIMITS.peerHeldBytes)
  expect(held.bytes).toBe(LIMITS.heldBytes)
  // Somebody who holds nothing gets one frame in any case.
  expect(held.take('new', 100)).toBe(true)
  expect(held.take('new', 100)).toBe(false)
})

test.each([
  ['/ip4/192.0.2.7/tcp/4001', '192.0.2.7'],
  ['/ip6/2001:db8:1:2:3:4:5:6/tcp/4001', '2001:db8:1:2::/64'],
  ['/ip6/2001:db8::5/tcp/4001', '2001:db8:0:0::/64'],
  ['/ip6/::1/tcp/4001', '0:0:0:0::/64'],
  ['/ip6/::ffff:192.0.2.7/tcp/4001', '192.0.2.7'],
])('%s counts as %s', (address, key) => {
  expect(addressKey({ remoteAddr: multiaddr(address) })).toBe(key)
})

test('a relay answers for nobody', () => {
  const relayed = '/ip4/192.0.2.7/tcp/4001/p2p/12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB'
  expect(addressKey({ remoteAddr: multiaddr(`${relayed}/p2p-circuit`) })).toBeUndefined()
})
