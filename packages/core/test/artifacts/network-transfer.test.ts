import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createArtifactStore, createNetwork } from '@manyhands/core'
import { expect, onTestFinished, test } from 'vitest'
import { bytesOf, codeOf, MIB, scratch, writeTree } from './scratch.ts'

async function peer(dir: string) {
  const network = await createNetwork({ listen: ['/ip4/127.0.0.1/tcp/0'], gossip: false })
  const store = await createArtifactStore({ dir })
  onTestFinished(async () => {
    await store.close()
    await network.close()
  })
  return { network, store }
}

test('an artifact travels between two peers, to those that may have it', async () => {
  const dir = await scratch()
  const sender = await peer(join(dir, 'sender'))
  const receiver = await peer(join(dir, 'receiver'))
  const big = bytesOf(30 * MIB)
  const small = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`s/${index}`, 'x']))
  const tree = await writeTree(join(dir, 'tree'), { big, ...small })
  const { root } = await sender.store.addPath(tree)
  const secret = await sender.store.addBytes(bytesOf(10))
  await sender.store.serve(
    sender.network,
    (from, asked) => from === receiver.network.peerId && asked === root,
  )
  const from = {
    network: receiver.network,
    peer: await receiver.network.connect(sender.network.addresses[0]!),
  }
  await receiver.store.fetch(root, from)
  expect(Buffer.from(await receiver.store.read(root, 'big')).equals(big)).toBe(true)
  expect(await codeOf(receiver.store.fetch(secret.root, from))).toBe('ARTIFACT_MISSING')
})

test('a connection that is cut ends the fetch, and the next one completes it', async () => {
  const dir = await scratch()
  const sender = await peer(join(dir, 'sender'))
  const receiver = await peer(join(dir, 'receiver'))
  await writeFile(join(dir, 'big'), bytesOf(40 * MIB))
  const { root } = await sender.store.addPath(join(dir, 'big'))
  await sender.store.serve(sender.network, () => true)
  const [address] = sender.network.addresses
  const from = { network: receiver.network, peer: await receiver.network.connect(address!) }
  let cut: Promise<void> | undefined
  const broken = receiver.store.fetch(root, from, {
    onProgress: (bytes) => {
      if (bytes > 0) cut ??= sender.network.disconnect(receiver.network.peerId)
    },
  })
  expect(await codeOf(broken)).toBe('PEER_GONE')
  await cut
  await receiver.network.connect(address!)
  let received = 0
  await receiver.store.fetch(root, from, { onProgress: (bytes) => (received = bytes) })
  expect(received).toBeLessThan(40 * MIB)
})
