import { expect, test } from 'vitest'
import { createBed } from './bed.ts'
import { noNamespaces } from './namespace.ts'
import { Peer } from './peer.ts'

const LISTEN = ['/ip4/0.0.0.0/tcp/4001']
const missing = noNamespaces()

test.skipIf(missing !== undefined)(
  'who is behind a router is called back by a public peer, and carried over a relay to another router',
  async () => {
    await using bed = await createBed({
      public: { relay: {}, server: {} },
      homes: { a: { members: ['anna'] }, b: { members: ['berta'] } },
    })
    const relay = { bulk: true, rate: '500MiB/s' }
    await using carrier = await Peer.start(bed.place('relay'), { listen: LISTEN, relay })
    const bootstrap = [`/ip4/${bed.place('relay').address}/tcp/4001/p2p/${carrier.peerId}`]
    const start = (name: string) => Peer.start(bed.place(name), { listen: LISTEN, bootstrap })
    await using anna = await start('anna')
    await using berta = await start('berta')
    await using server = await start('server')
    let addresses: string[] = []
    while (!addresses.some((address) => address.includes('/p2p-circuit/'))) {
      addresses = await anna.ask('addresses', {})
    }
    const kinds = async (of: Peer, peer: Peer) =>
      (await of.ask('connections', {}))
        .filter((one) => one.peer === peer.peerId)
        .map((one) => one.kind)

    await berta.ask('connect', { address: addresses })
    expect(await kinds(berta, anna)).toEqual(['relayed'])
    const { root, sha256 } = await anna.ask('make', { mebibytes: 64 })
    const fetched = await berta.ask('fetch', { root, peer: anna.peerId })
    expect(fetched).toMatchObject({ sha256, path: 'relay' })

    await server.ask('connect', { address: addresses })
    expect(await kinds(server, anna)).toEqual(['reversed'])
    expect(await kinds(anna, server)).toEqual(['reversed'])
  },
  120_000,
)
