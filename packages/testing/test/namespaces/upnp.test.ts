import { describe, expect, test } from 'vitest'
import { createBed } from './bed.ts'
import { noNamespaces } from './namespace.ts'
import { Peer } from './peer.ts'
import { noUpnp, UpnpRouter } from './upnp-router.ts'

const missing = noNamespaces() ?? noUpnp()
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing)

const LISTEN = ['/ip4/0.0.0.0/tcp/0', '/ip4/0.0.0.0/tcp/0/ws']

describe.skipIf(missing !== undefined)(`UPnP${missing ? `: ${missing}` : ''}`, () => {
  const makeBed = () =>
    createBed({ public: { server: {} }, homes: { a: { members: ['anna', 'amir'] } } })

  test('the router maps what a peer listens on, again after it has forgotten, and no longer than the peer is there', async () => {
    await using bed = await makeBed()
    const home = bed.home('a')
    await using server = await Peer.start(bed.place('server'))
    const options = { listen: LISTEN, upnp: { renew: '1s' } }
    await using anna = await Peer.start(bed.place('anna'), options)
    const outside = async () =>
      (await anna.ask('addresses', {})).filter((each) => each.includes(home.publicAddress))
    {
      await using router = await UpnpRouter.start(home)
      // TCP and websockets.
      await expect.poll(outside).toHaveLength(2)
      expect(await router.mapped()).toHaveLength(2)
      // What it is at home is still said, too.
      const all = await anna.ask('addresses', {})
      expect(all.filter((each) => each.includes(bed.place('anna').address))).toHaveLength(2)
      for (const address of await outside()) {
        expect(await server.ask('connect', { address })).toBe(anna.peerId)
        await server.ask('call', { peer: anna.peerId })
        await server.ask('disconnect', { peer: anna.peerId })
      }
    }
    await expect.poll(outside).toEqual([])
    expect(await anna.ask('portMapping', {})).toMatchObject({ state: 'none' })
    {
      await using router = await UpnpRouter.start(home)
      await expect.poll(outside).toHaveLength(2)
      await expect.poll(() => router.mapped()).toHaveLength(2)
      // A second peer that listens at the same port gets another one outside.
      const [, port] = /tcp\/(\d+)/.exec(anna.addresses[0]!)!
      const same = { listen: [`/ip4/0.0.0.0/tcp/${port}`], upnp: true }
      await using amir = await Peer.start(bed.place('amir'), same)
      await expect.poll(() => amir.ask('portMapping', {})).toMatchObject({ state: 'mapped' })
      expect(await router.mapped()).toHaveLength(3)
      await amir.close()
      await anna.close()
      expect(await router.mapped()).toEqual([])
    }
  })

  test('no router is asked unless it was wished for', async () => {
    await using bed = await makeBed()
    await using router = await UpnpRouter.start(bed.home('a'))
    await using anna = await Peer.start(bed.place('anna'), { listen: LISTEN })
    await using amir = await Peer.start(bed.place('amir'), { listen: LISTEN, upnp: true })
    await expect.poll(() => router.mapped()).toHaveLength(2)
    expect((await router.mapped()).join()).not.toContain(bed.place('anna').address)
    expect(await anna.ask('portMapping', {})).toBeNull()
    expect(amir.peerId).toBeTruthy()
  })

  describe('why there is no mapping', () => {
    const reason = (peer: Peer) =>
      expect.poll(async () => (await peer.ask('portMapping', {}))?.reason, { timeout: 20_000 })

    test('no router has UPnP', async () => {
      await using bed = await makeBed()
      await using anna = await Peer.start(bed.place('anna'), { listen: LISTEN, upnp: true })
      await reason(anna).toContain('no router answers')
    })

    test('the router refuses', async () => {
      await using bed = await makeBed()
      await using _ = await UpnpRouter.start(bed.home('a'), { allowed: false })
      await using anna = await Peer.start(bed.place('anna'), { listen: LISTEN, upnp: true })
      await reason(anna).toMatch(/the router at 192\.168\.1\.1: AddPortMapping was refused/)
    })

    test('there is no router', async () => {
      await using bed = await makeBed()
      await using server = await Peer.start(bed.place('server'), { listen: LISTEN, upnp: true })
      await reason(server).toContain('not behind a router')
    })
  })
})
