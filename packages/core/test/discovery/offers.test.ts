import { createIdentity, LIMITS, type Network, type Offer, PROTOCOLS } from '@manyhands/core'
import { expect, test } from 'vitest'
import {
  type Announcement,
  decodeAnnouncement,
  encodeAnnouncement,
} from '../../src/discovery/offer-announcement.ts'
import { OfferTable } from '../../src/discovery/offer-table.ts'
import { signingKey } from '../../src/network/identity.ts'
import { decodeDocument, encodeDocument } from '../../src/wire/codec.ts'
import { eventually } from '../network/eventually.ts'
import { addressOf, Networks } from '../network/networks.ts'
import { offerOf } from '../network/offer-fixture.ts'

/** One that nobody has signed, for a table, which asks no questions. */
const take = (table: OfferTable, announcement: Announcement, ageMs = 0) => {
  const { seq, offer } = announcement
  const signature = new Uint8Array()
  const bytes = encodeDocument({ v: 1, seq, offer: encodeDocument(offer), signature })
  return table.take(announcement, bytes, ageMs)
}

const heard = (network: Network): Offer[] => {
  const offers: Offer[] = []
  network.addEventListener('offer', (event) => offers.push((event as CustomEvent<Offer>).detail))
  return offers
}

test('an announcement is read back, and only from who signed it', () => {
  const { seed, peerId } = createIdentity()
  const announcement = { seq: 7, offer: offerOf(peerId) }
  const bytes = encodeAnnouncement(announcement, signingKey(seed))
  expect(decodeAnnouncement(bytes)).toEqual(announcement)

  const stranger = encodeAnnouncement(announcement, signingKey(createIdentity().seed))
  expect(() => decodeAnnouncement(stranger)).toThrow('not signed by its peer')
  const nobody = encodeAnnouncement({ seq: 7, offer: offerOf('nobody') }, signingKey(seed))
  expect(() => decodeAnnouncement(nobody)).toThrow('not signed by its peer')
})

test('neither the offer nor the number of an announcement can be changed', async () => {
  const { z } = await import('zod')
  const { seed, peerId } = createIdentity()
  const bytes = encodeAnnouncement({ seq: 7, offer: offerOf(peerId) }, signingKey(seed))
  const fields = decodeDocument(z.record(z.string(), z.unknown()), bytes, 'test')
  const offer = encodeDocument(offerOf(peerId, { cpus: 64 }))
  for (const change of [{ offer }, { seq: 8 }]) {
    expect(() => decodeAnnouncement(encodeDocument({ ...fields, ...change }))).toThrow('not signed')
  }
})

test('an announcement beyond the limit is neither made nor read', () => {
  const { seed, peerId } = createIdentity()
  const labels = Object.fromEntries(
    Array.from({ length: 64 }, (_, index) => [`${index}`.padStart(256, 'k'), 'v'.repeat(256)]),
  )
  const offer = offerOf(peerId, { labels })
  expect(() => encodeAnnouncement({ seq: 1, offer }, signingKey(seed))).toThrow('beyond the limit')
  expect(() => decodeAnnouncement(new Uint8Array(LIMITS.offerBytes + 1))).toThrow('too large')
})

test('the newest of a peer is believed; repeats, replays and older revisions are not', () => {
  const table = new OfferTable()
  const say = (seq: number, revision: number, instance = 'one') =>
    take(table, { seq, offer: offerOf('peer', { revision, instance }) })
  expect(say(1, 5)).toBe('changed')
  expect(say(2, 5)).toBe('renewed')
  expect(say(3, 6)).toBe('changed')
  expect(say(3, 7)).toBe('stale')
  expect(say(4, 5)).toBe('stale')
  expect(table.all()).toMatchObject([{ revision: 6 }])
  // Another state directory counts from the beginning.
  expect(say(5, 1, 'two')).toBe('changed')
  expect(say(2, 9)).toBe('stale')
  expect(table.all()).toMatchObject([{ revision: 1, instance: 'two' }])
})

test('what is not announced again is forgotten', () => {
  let now = 0
  const table = new OfferTable(() => now)
  take(table, { seq: 1, offer: offerOf('early') })
  now = LIMITS.offerTtlMs - 1
  take(table, { seq: 1, offer: offerOf('late') })
  expect(table.all()).toHaveLength(2)
  now = LIMITS.offerTtlMs
  expect(table.all()).toMatchObject([{ peerId: 'late' }])
  expect(table.get('early')).toBeUndefined()
  expect(take(table, { seq: 2, offer: offerOf('early') })).toBe('changed')
})

test('no more offers than the limit; the oldest go first', () => {
  const table = new OfferTable()
  const offer = offerOf('peer')
  for (let index = 0; index <= LIMITS.offers; index++) {
    take(table, { seq: 1, offer: { ...offer, peerId: `${index}` } })
  }
  expect(table.all()).toHaveLength(LIMITS.offers)
  expect([table.get('0'), table.get('1')?.peerId]).toEqual([undefined, '1'])
})

test('an offer is good for as long as it says, and what is told late is not good for longer', () => {
  let now = 0
  const table = new OfferTable(() => now)
  take(table, { seq: 1, offer: offerOf('long', { ttlMs: 10 * LIMITS.offerTtlMs }) })
  take(table, { seq: 1, offer: offerOf('forever', { ttlMs: 1e12 }) })
  take(table, { seq: 1, offer: offerOf('aged') }, LIMITS.offerTtlMs - 10)
  expect(take(table, { seq: 1, offer: offerOf('over') }, LIMITS.offerTtlMs)).toBe('stale')
  expect(table.peers()).toEqual(['long', 'forever', 'aged'])
  expect(table.ageOf('aged')).toBe(LIMITS.offerTtlMs - 10)
  now = 10
  expect(table.expire()).toEqual(['aged'])
  now = 10 * LIMITS.offerTtlMs
  expect(table.expire()).toEqual(['long'])
  now = LIMITS.offerTtlMostMs
  expect(table.expire()).toEqual(['forever'])
})

test('who said goodbye is gone, is remembered for a while, and may come back', () => {
  let now = 0
  const table = new OfferTable(() => now)
  const goodbye = offerOf('peer', { ttlMs: 0 })
  take(table, { seq: 1, offer: offerOf('peer') })
  expect(take(table, { seq: 2, offer: goodbye })).toBe('gone')
  expect([table.all(), table.get('peer'), table.peers()]).toEqual([[], undefined, []])
  expect(take(table, { seq: 1, offer: offerOf('peer') })).toBe('stale')
  // Whoever asks hears the goodbye, too.
  expect([...table.newestFirst()]).toMatchObject([{ peerId: 'peer', goodbye: true }])
  expect(take(table, { seq: 3, offer: offerOf('peer') })).toBe('changed')
  expect(take(table, { seq: 4, offer: goodbye })).toBe('gone')
  now = LIMITS.offerTtlMs
  expect(table.expire()).toEqual([])
  expect(table.size).toBe(0)
})

test('offers travel along a line of three, with their changes', async () => {
  await using networks = new Networks()
  const middle = await networks.host({ gossip: true })
  const left = await networks.host({ gossip: true, bootstrap: [addressOf(middle)] })
  const right = await networks.host({ gossip: true, bootstrap: [addressOf(middle)] })
  const news = heard(right)
  await left.publishOffer(offerOf(left.peerId, { addresses: left.addresses }))
  await eventually('the offer is there', () => right.offers().length === 1)
  expect(right.isConnected(left.peerId)).toBe(false)
  expect(left.offers()).toEqual([])

  await left.publishOffer(offerOf(left.peerId, { addresses: left.addresses, revision: 2 }))
  await eventually('the change is there', () => right.offers()[0]?.revision === 2)
  expect(news.map(({ revision }) => revision)).toEqual([1, 2])

  // The offer says where its peer can be reached.
  left.handle('attempt.acknowledge', async () => ({}))
  expect(await right.call(left.peerId, 'attempt.acknowledge', { ids: [] })).toEqual({})
})

test('who joins later is told by its neighbour', async () => {
  await using networks = new Networks()
  const host = await networks.host({ gossip: true })
  await host.publishOffer(offerOf(host.peerId))
  const client = await networks.add({ gossip: true, bootstrap: [addressOf(host)] })
  await eventually('the offer is there', () => client.offers().length === 1)
})

test('forged offers go nowhere', async () => {
  await using networks = new Networks()
  const host = await networks.host({ gossip: true })
  const client = await networks.add({ gossip: true, bootstrap: [addressOf(host)] })
  const liar = await networks.bare({ gossip: true })
  const { multiaddr } = await import('@multiformats/multiaddr')
  await liar.dial(multiaddr(addressOf(host)))
  const pubsub = liar.services.gossip!
  pubsub.subscribe(PROTOCOLS.offers)
  await eventually('the host listens', () => pubsub.getSubscribers(PROTOCOLS.offers).length > 0)
  const { seed } = createIdentity()
  const forged = encodeAnnouncement({ seq: 1, offer: offerOf(client.peerId) }, signingKey(seed))
  const other = createIdentity()
  const honest = encodeAnnouncement(
    { seq: 1, offer: offerOf(other.peerId) },
    signingKey(other.seed),
  )
  await pubsub.publish(PROTOCOLS.offers, forged)
  await pubsub.publish(PROTOCOLS.offers, Uint8Array.of(1, 2, 3))
  await pubsub.publish(PROTOCOLS.offers, honest)
  await eventually('the honest one arrives', () => client.offers().length > 0)
  expect(host.offers().map(({ peerId }) => peerId)).toEqual([other.peerId])
  expect(client.offers().map(({ peerId }) => peerId)).toEqual([other.peerId])
})

test('without gossip nothing is heard and publishing is harmless', async () => {
  await using networks = new Networks()
  const host = await networks.host({ gossip: true })
  const quiet = await networks.add({ bootstrap: [addressOf(host)] })
  await quiet.publishOffer(offerOf(quiet.peerId))
  await quiet.withdrawOffer()
  expect([quiet.offers(), host.offers()]).toEqual([[], []])
})
