import { createIdentity, type Identity, LIMITS, type Network } from '@manyhands/core'
import { expect, test } from 'vitest'
import { encodeAnnouncement } from '../../src/discovery/offer-announcement.ts'
import { signingKey } from '../../src/network/identity.ts'
import { eventually } from '../network/eventually.ts'
import { addressOf, Networks } from '../network/networks.ts'
import { offerOf } from '../network/offer-fixture.ts'

const signed = ({ seed, peerId }: Identity, seq = 1, fields = {}) =>
  encodeAnnouncement({ seq, offer: offerOf(peerId, fields) }, signingKey(seed))

const gone = (network: Network): string[] => {
  const peers: string[] = []
  network.addEventListener('offer:gone', (event) =>
    peers.push((event as CustomEvent<string>).detail),
  )
  return peers
}

/** A peer that answers with these announcements, in pages of two. */
async function teller(networks: Networks, announcements: Uint8Array[], agesMs: number[] = []) {
  const peer = await networks.host()
  const asked: number[] = []
  peer.handle('offer.page', async ({ before = announcements.length }) => {
    asked.push(before)
    const from = Math.max(0, before - 2)
    const page = announcements.slice(from, before).reverse()
    return {
      epoch: 'one',
      mark: announcements.length,
      announcements: page,
      agesMs: page.map((_, index) => agesMs[before - 1 - index] ?? 0),
      ...(from === 0 ? {} : { before: from }),
    }
  })
  return { peer, asked }
}

test('whoever is asked tells what it knows, also one that gossips not and offers nothing', async () => {
  await using networks = new Networks()
  const host = await networks.host()
  await host.publishOffer(offerOf(host.peerId, { addresses: host.addresses }))
  const member = await networks.host({ bootstrap: [addressOf(host)] })
  expect(await member.askOffers(host.peerId)).toMatchObject({ news: 1, hearsay: [] })

  const client = await networks.add({ bootstrap: [addressOf(member)] })
  expect(await client.askOffers(member.peerId)).toMatchObject({ news: 1 })
  expect(client.offers()).toMatchObject([{ peerId: host.peerId }])
  expect(client.offerAge(host.peerId)).toBeLessThan(LIMITS.offerTtlMs)
  // The offer says where its peer can be reached.
  await client.connectTo(host.peerId)
  expect(client.isConnected(host.peerId)).toBe(true)
  expect(await client.askOffers(host.peerId)).toMatchObject({ news: 0 })
})

test('a table comes page by page, as far back as there is news', async () => {
  await using networks = new Networks()
  const hosts = Array.from({ length: 7 }, () => createIdentity())
  const { peer, asked } = await teller(
    networks,
    hosts.map((host) => signed(host)),
  )
  const client = await networks.add({ bootstrap: [addressOf(peer)] })
  expect(await client.askOffers(peer.peerId)).toMatchObject({ news: 7 })
  expect(asked).toEqual([7, 5, 3, 1])
  expect(new Set(client.offers().map(({ peerId }) => peerId))).toEqual(
    new Set(hosts.map(({ peerId }) => peerId)),
  )
  expect(await client.askOffers(peer.peerId)).toMatchObject({ news: 0 })
  expect(asked).toEqual([7, 5, 3, 1, 7])
})

test('pages without end are not read', async () => {
  await using networks = new Networks()
  const peer = await networks.host()
  let asked = 0
  peer.handle('offer.page', async () => {
    asked += 1
    return {
      epoch: 'one',
      mark: 9,
      announcements: [signed(createIdentity())],
      agesMs: [0],
      before: 5,
    }
  })
  const client = await networks.add({ bootstrap: [addressOf(peer)] })
  await client.askOffers(peer.peerId)
  expect(asked).toBe(2)
})

test('what nobody has signed is not believed, whoever says it', async () => {
  await using networks = new Networks()
  const [victim, liar] = [createIdentity(), createIdentity()]
  const forged = encodeAnnouncement(
    { seq: 1, offer: offerOf(victim.peerId) },
    signingKey(liar.seed),
  )
  const { peer } = await teller(networks, [forged])
  const client = await networks.add({ bootstrap: [addressOf(peer)] })
  await expect(client.askOffers(peer.peerId)).rejects.toMatchObject({ code: 'PROTOCOL' })
  expect(client.offers()).toEqual([])
})

test('what was announced long ago is not believed as if it were new', async () => {
  await using networks = new Networks()
  const [old, late] = [createIdentity(), createIdentity()]
  const ages = [LIMITS.offerTtlMs, LIMITS.offerTtlMs - 30_000]
  const { peer } = await teller(networks, [signed(old), signed(late)], ages)
  const client = await networks.add({ bootstrap: [addressOf(peer)] })
  await client.askOffers(peer.peerId)
  expect(client.offers()).toMatchObject([{ peerId: late.peerId }])
  expect(client.offerAge(late.peerId)).toBeGreaterThanOrEqual(LIMITS.offerTtlMs - 30_000)
})

test('who waits for news hears what is new, and who has gone', async () => {
  await using networks = new Networks()
  const member = await networks.host()
  await member.publishOffer(offerOf(member.peerId))
  const client = await networks.add({ bootstrap: [addressOf(member)] })
  const { mark: since } = await client.askOffers(member.peerId)
  const waitMs = LIMITS.offerWaitMs
  const asking = client.askOffers(member.peerId, { since, waitMs })
  await member.publishOffer(offerOf(member.peerId, { revision: 2 }))
  const { mark } = await asking
  expect(client.offers()).toMatchObject([{ revision: 2 }])

  const left = gone(client)
  const waiting = client.askOffers(member.peerId, { since: mark, waitMs })
  await member.withdrawOffer()
  await waiting
  expect(left).toEqual([member.peerId])
  expect(client.offers()).toEqual([])
})

test('a mark of another life of the peer asks for everything', async () => {
  await using networks = new Networks()
  const member = await networks.host()
  await member.publishOffer(offerOf(member.peerId))
  const client = await networks.add({ bootstrap: [addressOf(member)] })
  const since = { epoch: 'before', at: 99 }
  const waitMs = LIMITS.offerWaitMs
  expect(await client.askOffers(member.peerId, { since, waitMs })).toMatchObject({ news: 1 })
})

test('a peer of an older version is asked as it understands, and its word is hearsay', async () => {
  await using networks = new Networks()
  const other = createIdentity()
  const old = await networks.host()
  old.handle('offer.list', async () => ({ offers: [offerOf(other.peerId)] }))
  const { ManyhandsError } = await import('@manyhands/core')
  old.handle('offer.page', async () => {
    throw new ManyhandsError('PROTOCOL', 'offer.page is not answered here')
  })
  const client = await networks.add({ bootstrap: [addressOf(old)] })
  expect(await client.askOffers(old.peerId)).toMatchObject({
    news: 0,
    hearsay: [{ peerId: other.peerId }],
  })
  expect(client.offers()).toEqual([])
})

test('a host that closes is gone at once for those who gossip', async () => {
  await using networks = new Networks()
  const middle = await networks.host({ gossip: true })
  const far = await networks.host({ gossip: true, bootstrap: [addressOf(middle)] })
  const host = await networks.host({ gossip: true, bootstrap: [addressOf(middle)] })
  const left = gone(far)
  await host.publishOffer(offerOf(host.peerId))
  await eventually('the offer is there', () => far.offers().length === 1)
  await host.close()
  await eventually('the goodbye is there', () => left.includes(host.peerId))
  expect(far.offers()).toEqual([])
})

test('members are connected to others than the one that all began with', async () => {
  await using networks = new Networks()
  const first = await networks.host({ gossip: true })
  const members = [first]
  for (let count = 0; count < 4; count += 1) {
    const member = await networks.host({ gossip: true, bootstrap: [addressOf(first)] })
    await member.publishOffer(offerOf(member.peerId, { addresses: member.addresses }))
    members.push(member)
  }
  await eventually('each knows others', () => members.every((one) => one.peers().length >= 3))
  await first.close()
  const late = members[1]!
  await late.publishOffer(offerOf(late.peerId, { revision: 9 }))
  await eventually('the others go on without it', () =>
    members.slice(2).every((one) => one.offers().some(({ revision }) => revision === 9)),
  )
})
