import { LIMITS } from '@manyhands/core'
import { expect, test } from 'vitest'
import { eventually } from '../eventually.ts'
import { addressOf, Networks } from '../networks.ts'
import { answers, ask, hidden } from './hidden.ts'

test('a peer that listens nowhere is reached over a relay, and both know it', async () => {
  await using networks = new Networks()
  const relay = await networks.host({ relay: true })
  const host = await hidden(networks, [relay])
  answers(host)
  const [address] = host.addresses
  expect(address).toContain(`/p2p/${relay.peerId}/p2p-circuit/p2p/${host.peerId}`)
  const client = await networks.add()
  expect(await client.connect(host.addresses)).toBe(host.peerId)
  await ask(client, host)
  const relayed = { kind: 'relayed', relay: relay.peerId, limited: true }
  expect(client.connections().find(({ peer }) => peer === host.peerId)).toMatchObject(relayed)
  expect(host.connections().find(({ peer }) => peer === client.peerId)).toMatchObject(relayed)
  expect(client.remoteAddresses(host.peerId)).toEqual([])
  expect(relay.reachability().relay).toMatchObject({ reservations: 1, circuits: 1, bulk: false })
  expect(host.reachability()).toMatchObject({
    kind: 'relayed',
    relays: [{ relay: relay.peerId, state: 'reserved' }],
  })
})

test('a peer that is connected to a relay needs not name it', async () => {
  await using networks = new Networks()
  const relay = await networks.host({ relay: true })
  const host = await networks.host({ bootstrap: [addressOf(relay)] })
  const relayed = () => host.addresses.filter((address) => address.includes('/p2p-circuit/'))
  await eventually('it is there', () => relayed().length > 0)
  const client = await networks.add()
  expect(await client.connect(relayed())).toBe(host.peerId)
  // It listens nowhere, and wants nobody to come.
  expect(client.reachability().relays).toEqual([])
})

test('several relays at a time; of one that is lost another takes the place, and it is taken again', async () => {
  await using networks = new Networks()
  const listen = ['/ip4/127.0.0.1/tcp/0']
  const relays = await Promise.all(
    Array.from({ length: LIMITS.relaysPerPeer + 1 }, () => networks.add({ listen, relay: true })),
  )
  const host = await hidden(networks, relays)
  answers(host)
  const used = () => relays.filter(({ peerId }) => host.addresses.join().includes(peerId))
  expect(used()).toHaveLength(LIMITS.relaysPerPeer)
  const client = await networks.add()
  await client.connect(host.addresses)
  const over = client.connections().find(({ peer }) => peer === host.peerId)?.relay
  const lost = relays.find(({ peerId }) => peerId === over)!
  const spare = relays.find((relay) => !used().includes(relay))!
  await lost.close()
  await eventually('the spare one is used', () => used().includes(spare))
  expect(used()).not.toContain(lost)
  await client.connect(host.addresses)
  await ask(client, host)
})

test('a relay that comes back is used again', async () => {
  await using networks = new Networks()
  const first = await networks.host({ relay: true })
  const address = addressOf(first)
  const listen = [address.replace(/\/p2p\/.*/, '')]
  const host = await hidden(networks, [first])
  await first.close()
  await eventually('the address is gone', () => host.addresses.length === 0)
  expect(host.reachability().hints.map(({ code }) => code)).toContain('relay-lost')
  const again = await networks.add({ listen, relay: true })
  // It has another key: what was named by its peer id is not it.
  await expect(networks.add({ bootstrap: [address] })).rejects.toMatchObject({
    code: 'CONNECT_FAILED',
  })
  const other = await hidden(networks, [again])
  expect(other.addresses).toHaveLength(1)
})

test('reservations are bounded', async () => {
  await using networks = new Networks()
  const relay = await networks.host({ relay: { reservations: 1 } })
  await hidden(networks, [relay])
  const second = await networks.add({ relays: [addressOf(relay)] })
  await eventually('it is told why', () => {
    const [used] = second.reachability().relays
    return used?.why === 'the relay has no room'
  })
  expect(second.addresses).toEqual([])
})

test('circuits are bounded, in all and of one peer', async () => {
  await using networks = new Networks()
  const relay = await networks.host({ relay: { circuits: 3, circuitsPerPeer: 2 } })
  const hosts = await Promise.all([1, 2, 3].map(() => hidden(networks, [relay])))
  const client = await networks.add()
  await client.connect(hosts[0]!.addresses)
  await client.connect(hosts[1]!.addresses)
  await expect(client.connect(hosts[2]!.addresses)).rejects.toMatchObject({
    code: 'CONNECT_FAILED',
    message: expect.stringContaining('has no room'),
  })
  const other = await networks.add()
  await other.connect(hosts[2]!.addresses)
  const third = await networks.add()
  await expect(third.connect(hosts[0]!.addresses)).rejects.toMatchObject({ code: 'CONNECT_FAILED' })
  expect(relay.reachability().relay).toMatchObject({ circuits: 3, carried: { refused: 2 } })
  await client.disconnect(hosts[0]!.peerId)
  await eventually('there is room again', () => relay.reachability().relay?.circuits === 2)
  await third.connect(hosts[0]!.addresses)
})

test('a circuit ends when its time is over, and another one is made when it is needed', async () => {
  await using networks = new Networks()
  const relay = await networks.host({ relay: { circuitLife: '1s' } })
  const host = await hidden(networks, [relay])
  answers(host)
  const client = await networks.add()
  await client.connect(host.addresses)
  await ask(client, host)
  await eventually('the circuit is over', () => !client.isConnected(host.peerId))
  await ask(client, host)
})

test('a relay is no door around a block, at either end or in the middle', async () => {
  await using networks = new Networks()
  const relay = await networks.host({ relay: true })
  const host = await hidden(networks, [relay])
  const client = await networks.add()
  await client.connect(host.addresses)
  await host.block(client.peerId)
  await eventually('the circuit is cut', () => !client.isConnected(host.peerId))
  await expect(client.connect(host.addresses)).rejects.toMatchObject({ code: 'CONNECT_FAILED' })
  host.unblock(client.peerId)
  await client.connect(host.addresses)
  await relay.block(client.peerId)
  await eventually('the relay has cut it', () => !client.isConnected(host.peerId))
  await expect(client.connect(host.addresses)).rejects.toMatchObject({ code: 'CONNECT_FAILED' })
})

test('what the options say of a relay is checked', async () => {
  await using networks = new Networks()
  for (const [relay, field] of [
    [{ circuits: 0 }, 'relay.circuits'],
    [{ rate: '1KiB/s' }, 'relay.rate'],
    [{ bulky: true }, 'relay.bulky'],
  ] as const) {
    await expect(networks.host({ relay: relay as object })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(field),
    })
  }
})
