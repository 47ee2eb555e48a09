import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createArtifactStore,
  createPrivateNetwork,
  joinPrivateNetwork,
  type TransferSource,
} from '@manyhands/core'
import { expect, onTestFinished, test } from 'vitest'
import { circuitOf, hidden, kindsOf, peer, relay } from './peers.ts'

const SECONDS = { timeout: 20_000 }

async function store() {
  const dir = await mkdtemp(join(tmpdir(), 'manyhands-webrtc-'))
  const made = await createArtifactStore({ dir })
  onTestFinished(async () => {
    await made.close()
    await rm(dir, { recursive: true, force: true })
  })
  return made
}

test('two peers meet over a relay and leave it', async () => {
  const relays = (await relay()).addresses
  const [anna, berta] = await Promise.all([hidden(relays), hidden(relays)])
  await expect.poll(() => circuitOf(berta), SECONDS).toBeDefined()
  await anna.connect(circuitOf(berta)!)
  await expect.poll(() => kindsOf(anna, berta), SECONDS).toEqual(['webrtc'])
  expect(kindsOf(berta, anna)).toEqual(['webrtc'])
  await anna.call(berta.peerId, 'attempt.acknowledge', { ids: [] })
  await berta.call(anna.peerId, 'attempt.acknowledge', { ids: [] })
  // No relay is in the way of what is sent, and there is no socket beside the connection.
  const [giving, taking] = [await store(), await store()]
  await giving.serve(berta, () => true)
  const bytes = new Uint8Array(16 * 1024 * 1024).map((_, index) => index >> 8)
  const { root } = await giving.addBytes(bytes)
  let path: TransferSource['path'] | undefined
  const onSource = (source: TransferSource): void => {
    path = source.path
  }
  await taking.fetch(root, { network: anna, peer: berta.peerId }, { onSource })
  expect(path).toBe('stream')
  expect(Buffer.compare(await taking.read(root, ''), bytes)).toBe(0)
})

test('a peer without WebRTC stays on the relay', async () => {
  const relays = (await relay()).addresses
  const [anna, berta] = await Promise.all([hidden(relays), hidden(relays, { transports: [] })])
  await expect.poll(() => circuitOf(berta), SECONDS).toBeDefined()
  await anna.connect(circuitOf(berta)!)
  await anna.call(berta.peerId, 'attempt.acknowledge', { ids: [] })
  expect(kindsOf(anna, berta)).toEqual(['relayed'])
})

test('who is blocked does not come in by WebRTC', async () => {
  const relays = (await relay()).addresses
  const [anna, berta] = await Promise.all([hidden(relays), hidden(relays)])
  await expect.poll(() => circuitOf(berta), SECONDS).toBeDefined()
  await anna.connect(circuitOf(berta)!)
  await expect.poll(() => kindsOf(anna, berta), SECONDS).toEqual(['webrtc'])
  await berta.block(anna.peerId)
  await expect.poll(() => kindsOf(anna, berta), SECONDS).toEqual([])
  await expect(anna.connect(circuitOf(berta)!)).rejects.toMatchObject({ blame: 'network' })
})

test('members of a private network meet, and nobody meets one who is none any more', async () => {
  const owner = await createPrivateNetwork({ name: 'lab' })
  const listen = ['/ip4/127.0.0.1/tcp/0']
  const { addresses } = await peer({ listen, relay: { bulk: true }, membership: owner })
  const join = async () => {
    const invite = await owner.invite({ addresses })
    return hidden(addresses, { membership: await joinPrivateNetwork({ invite }) })
  }
  const [anna, berta] = [await join(), await join()]
  await expect.poll(() => circuitOf(berta), SECONDS).toBeDefined()
  await anna.connect(circuitOf(berta)!)
  await expect.poll(() => kindsOf(anna, berta), SECONDS).toEqual(['webrtc'])
  await anna.call(berta.peerId, 'attempt.acknowledge', { ids: [] })
  await owner.revoke(berta.peerId)
  await expect.poll(() => kindsOf(anna, berta), SECONDS).toEqual([])
  await expect.poll(() => kindsOf(berta, anna), SECONDS).toEqual([])
})

test('the next networks of a process have WebRTC when the last ones have gone', async () => {
  const relays = (await relay()).addresses
  for (const _ of [1, 2]) {
    const [anna, berta] = await Promise.all([hidden(relays), hidden(relays)])
    await expect.poll(() => circuitOf(berta), SECONDS).toBeDefined()
    await anna.connect(circuitOf(berta)!)
    await expect.poll(() => kindsOf(anna, berta), SECONDS).toContain('webrtc')
    await Promise.all([anna.close(), berta.close()])
  }
  expect((await peer({})).peers()).toEqual([])
})
