import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type Bed, createBed } from './bed.ts'
import { noNamespaces } from './namespace.ts'
import { Peer } from './peer.ts'
import type { PeerOptions } from './peer-process.ts'
import { noStun, StunServer } from './stun-server.ts'

const missing = noNamespaces() ?? noStun()
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing)

/**
 * Where peers are: `relay` and `server` on the open internet, `closed` there behind a firewall, `anna` and
 * `amir` in one home, `berta` in another one with the same numbers, `carl` in a third with a symmetric router.
 */
const OPEN = ['server']
const HIDDEN = ['closed', 'anna', 'amir', 'berta', 'carl']
const LISTEN = ['/ip4/0.0.0.0/tcp/0']
const MEBIBYTES = 64

/** What connects one position to another: the table of docs/guides/reachability.md. */
const TABLE: Record<string, Record<string, string>> = {
  server: { closed: 'reversed', anna: 'reversed' },
  closed: { server: 'direct', anna: 'relayed' },
  anna: { server: 'direct', closed: 'relayed', amir: 'direct', berta: 'relayed' },
  amir: { anna: 'direct' },
  berta: { anna: 'relayed', carl: 'relayed' },
  carl: { server: 'direct', berta: 'relayed' },
}
/** The same where both have WebRTC, and a STUN server. */
const BY_WEBRTC: Record<string, Record<string, string>> = {
  closed: { anna: 'webrtc' },
  anna: { closed: 'webrtc', berta: 'webrtc' },
  berta: { anna: 'webrtc', carl: 'relayed' },
  carl: { closed: 'relayed' },
}
/** What content goes over on each. */
const PATHS: Record<string, string> = {
  ...{ direct: 'socket', reversed: 'socket', webrtc: 'stream', relayed: 'relay' },
}

const pairsOf = (table: typeof TABLE) =>
  Object.entries(table).flatMap(([from, row]) =>
    Object.entries(row).map(([to, expected]) => ({ from, to, expected })),
  )

describe.skipIf(missing !== undefined)(`positions${missing ? `: ${missing}` : ''}`, () => {
  let bed: Bed
  let relays: string[]
  let relay: Peer
  let stun: StunServer
  const closers = new AsyncDisposableStack()

  beforeAll(async () => {
    bed = closers.use(
      await createBed({
        public: { relay: {}, server: {}, stun: {}, closed: { firewall: true } },
        homes: {
          a: { members: ['anna', 'amir'] },
          b: { members: ['berta'] },
          c: { members: ['carl'], nat: 'symmetric' },
        },
      }),
    )
    stun = closers.use(await StunServer.start(bed.place('stun')))
    const options = { listen: LISTEN, relay: { bulk: true } }
    relay = closers.use(await Peer.start(bed.place('relay'), options))
    relays = relay.addresses.filter((address) => address.includes(relay.place.address))
  })
  afterAll(() => closers.disposeAsync())

  /** Peers at these places, which have what they need to be reached. */
  async function peersAt(names: string[], options: PeerOptions, stack: AsyncDisposableStack) {
    const started = await Promise.all(
      names.map(async (name) => {
        const peer = stack.use(
          await Peer.start(bed.place(name), {
            listen: LISTEN,
            bootstrap: relays,
            relays,
            ...options,
          }),
        )
        return [name, peer] as const
      }),
    )
    const peers = new Map(started)
    for (const name of names.filter((each) => HIDDEN.includes(each))) {
      const over = async () =>
        (await peers.get(name)!.ask('addresses', {})).some((each) => each.includes('/p2p-circuit'))
      await vi.waitUntil(over, { timeout: 60_000, interval: 200 })
    }
    return (name: string): Peer => peers.get(name)!
  }

  const kinds = async (near: Peer, far: Peer) =>
    (await near.ask('connections', {}))
      .filter(({ peer }) => peer === far.peerId)
      .map(({ kind }) => kind)

  /** One connects to the other, is answered, and gets what it has. */
  async function reaches(near: Peer, far: Peer, expected: string): Promise<void> {
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      await one.ask('disconnect', { peer: other.peerId })
      await expect.poll(() => kinds(one, other)).toEqual([])
    }
    const address = await far.ask('addresses', {})
    expect(await near.ask('connect', { address })).toBe(far.peerId)
    await near.ask('call', { peer: far.peerId })
    await far.ask('call', { peer: near.peerId })
    await expect.poll(() => kinds(near, far), { timeout: 30_000 }).toEqual([expected])
    const made = await far.ask('make', { mebibytes: MEBIBYTES })
    const fetched = await near.ask('fetch', { root: made.root, peer: far.peerId })
    expect(fetched).toMatchObject({ sha256: made.sha256, path: PATHS[expected] })
    expect(await kinds(near, far)).toEqual([expected])
  }

  describe('without WebRTC', () => {
    const stack = new AsyncDisposableStack()
    let at: (name: string) => Peer
    beforeAll(async () => {
      at = await peersAt([...OPEN, ...HIDDEN], {}, stack)
    })
    afterAll(() => stack.disposeAsync())

    test.for(pairsOf(TABLE))('$from → $to: $expected', async ({ from, to, expected }) => {
      await reaches(at(from), at(to), expected)
    })
  })

  describe('with WebRTC', () => {
    const stack = new AsyncDisposableStack()
    let at: (name: string) => Peer
    beforeAll(async () => {
      at = await peersAt(
        HIDDEN.filter((name) => name !== 'amir'),
        { stun: [stun.url] },
        stack,
      )
    })
    afterAll(() => stack.disposeAsync())

    test.for(pairsOf(BY_WEBRTC))('$from → $to: $expected', async ({ from, to, expected }) => {
      await reaches(at(from), at(to), expected)
    })
  })

  test('mates on a LAN find each other, and nobody else', async () => {
    const options = { listen: LISTEN, mdns: true }
    await using anna = await Peer.start(bed.place('anna'), options)
    await using amir = await Peer.start(bed.place('amir'), options)
    await using berta = await Peer.start(bed.place('berta'), options)
    const found = async () => new Set((await anna.ask('connections', {})).map(({ peer }) => peer))
    await expect.poll(found).toEqual(new Set([amir.peerId]))
    await anna.ask('call', { peer: amir.peerId })
    expect(await berta.ask('connections', {})).toEqual([])
  })

  test('without a relay that both know, hidden peers hear why they do not meet', async () => {
    const options = { listen: LISTEN }
    await using anna = await Peer.start(bed.place('anna'), options)
    await using berta = await Peer.start(bed.place('berta'), options)
    const address = await anna.ask('addresses', {})
    await expect(berta.ask('connect', { address })).rejects.toMatchObject({
      code: 'CONNECT_FAILED',
    })
  })

  test('a relay that allows no artifacts is named before anything goes through it', async () => {
    await using small = await Peer.start(bed.place('server'), { listen: LISTEN, relay: true })
    const over = small.addresses.filter((address) => address.includes(small.place.address))
    const options = { bootstrap: over, relays: over }
    await using stack = new AsyncDisposableStack()
    const at = await peersAt(['anna', 'berta'], options, stack)
    const [anna, berta] = [at('anna'), at('berta')]
    await anna.ask('connect', { address: await berta.ask('addresses', {}) })
    await anna.ask('call', { peer: berta.peerId })
    const { root } = await berta.ask('make', { mebibytes: MEBIBYTES })
    const refused = anna.ask('fetch', { root, peer: berta.peerId })
    await expect(refused).rejects.toMatchObject({ message: expect.stringContaining(small.peerId) })
  })
})
