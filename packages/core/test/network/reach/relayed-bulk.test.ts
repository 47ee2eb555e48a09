import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type ArtifactStore, createArtifactStore, type Network } from '@manyhands/core'
import { expect, onTestFinished, test } from 'vitest'
import { scratch } from '../../artifacts/scratch.ts'
import { Networks } from '../networks.ts'
import { answers, ask, hidden } from './hidden.ts'

const MIB = 1024 * 1024

async function storeOf(network: Network): Promise<ArtifactStore> {
  const store = await createArtifactStore({ dir: join(await scratch(), 'store') })
  onTestFinished(() => store.close())
  await store.serve(network, () => true)
  return store
}

async function artifact(store: ArtifactStore, bytes: number): Promise<string> {
  const path = join(await scratch(), 'content')
  await writeFile(path, randomBytes(bytes))
  return (await store.addPath(path)).root
}

test('64 MiB go over a relay whose owner allows it, and requests go on beside', async () => {
  await using networks = new Networks()
  const relay = await networks.host({ relay: { bulk: true, rate: '200MiB/s' } })
  const host = await hidden(networks, [relay])
  answers(host)
  const client = await networks.add()
  await client.connect(host.addresses)
  const root = await artifact(await storeOf(host), 64 * MIB)
  const mine = await storeOf(client)
  const paths = new Set<string>()
  let over = false
  const fetched = mine
    .fetch(
      root,
      { network: client, peer: host.peerId },
      { onSource: ({ path }) => paths.add(path) },
    )
    .finally(() => {
      over = true
    })
  let asked = 0
  while (!over) {
    await ask(client, host)
    asked += 1
  }
  expect((await fetched).size).toBe(64 * MIB)
  expect([...paths]).toEqual(['relay'])
  expect(asked).toBeGreaterThan(1)
}, 60_000)

test('where it does not, more than an event is refused before any of it is sent, with the relay named', async () => {
  await using networks = new Networks()
  const relay = await networks.host({ relay: true })
  const host = await hidden(networks, [relay])
  const client = await networks.add()
  await client.connect(host.addresses)
  const theirs = await storeOf(host)
  const mine = await storeOf(client)
  const from = { network: client, peer: host.peerId }
  const small = await artifact(theirs, 100_000)
  expect((await mine.fetch(small, from)).size).toBe(100_000)
  const large = await artifact(theirs, 4 * MIB)
  const before = relay.reachability().relay!.carried.bytes
  const error = await mine.fetch(large, from).catch((reason) => reason)
  expect(error).toMatchObject({ code: 'RELAY_LIMITED', blame: 'network' })
  expect(error.message).toContain(relay.peerId)
  expect(error.hint).toContain('--relay-bulk')
  expect(relay.reachability().relay!.carried.bytes - before).toBeLessThan(100_000)
  expect(client.isConnected(host.peerId)).toBe(true)
})
