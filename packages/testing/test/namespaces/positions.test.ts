import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Bed, createBed } from './bed.ts'
import { noNamespaces } from './namespace.ts'
import { Peer } from './peer.ts'

const missing = noNamespaces()
if (missing !== undefined && process.env['CI'] === 'true') throw new Error(missing)

/** How one position connects to another. */
const DIRECT = 'direct'
const NOT = 'CONNECT_FAILED'
const TABLE: Record<string, Record<string, string>> = {
  server: { closed: NOT, anna: NOT },
  closed: { server: DIRECT, anna: NOT },
  anna: { server: DIRECT, closed: NOT, amir: DIRECT, berta: NOT },
  amir: { anna: DIRECT },
  berta: { anna: NOT },
}

describe.skipIf(missing !== undefined)(`positions${missing ? `: ${missing}` : ''}`, () => {
  let bed: Bed
  beforeAll(async () => {
    bed = await createBed({
      public: { server: {}, closed: { firewall: true } },
      homes: { a: { members: ['anna', 'amir'] }, b: { members: ['berta'] } },
    })
  })
  afterAll(async () => {
    await bed?.[Symbol.asyncDispose]()
  })

  const pairs = Object.entries(TABLE).flatMap(([from, row]) =>
    Object.entries(row).map(([to, expected]) => ({ from, to, expected })),
  )
  test.for(pairs)('$from → $to: $expected', async ({ from, to, expected }) => {
    const listen = ['/ip4/0.0.0.0/tcp/0']
    await using peers = new AsyncDisposableStack()
    const [near, far] = await Promise.all(
      [from, to].map(async (name) => peers.use(await Peer.start(bed.place(name), { listen }))),
    )
    const address = far!.addresses.find((each) => each.includes(bed.place(to).address))!
    const connecting = near!.ask('connect', { address })
    if (expected === NOT) {
      await expect(connecting).rejects.toMatchObject({ code: NOT })
      return
    }
    expect(await connecting).toBe(far!.peerId)
    const kinds = (await near!.ask('connections', {})).map(({ kind }) => kind)
    expect(kinds).toEqual([expected])
    await near!.ask('call', { peer: far!.peerId })
    const made = await far!.ask('make', { mebibytes: 64 })
    const fetched = await near!.ask('fetch', { root: made.root, peer: far!.peerId })
    expect(fetched).toMatchObject({ sha256: made.sha256, path: 'socket' })
  })

  test('mates on a LAN find each other', async () => {
    const listen = ['/ip4/0.0.0.0/tcp/0']
    const options = { listen, mdns: true }
    await using anna = await Peer.start(bed.place('anna'), options)
    await using amir = await Peer.start(bed.place('amir'), options)
    await using berta = await Peer.start(bed.place('berta'), options)
    const found = async () => new Set((await anna.ask('connections', {})).map(({ peer }) => peer))
    await expect.poll(found).toEqual(new Set([amir.peerId]))
    await anna.ask('call', { peer: amir.peerId })
    expect(await berta.ask('connections', {})).toEqual([])
  })
})
