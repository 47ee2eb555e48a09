import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createArtifactStore, ManyhandsError } from '@manyhands/core'
import { expect, onTestFinished, test } from 'vitest'
import { memoryNetwork } from './memory-network.ts'
import { bytesOf, MIB, scratch, writeTree } from './scratch.ts'

async function setup() {
  const dir = await scratch()
  const open = async (name: string) => {
    const store = await createArtifactStore({ dir: join(dir, name) })
    onTestFinished(() => store.close())
    return store
  }
  const [sender, receiver] = [await open('sender'), await open('receiver')]
  const network = memoryNetwork()
  let sent = 0
  await sender.serve(
    network,
    () => true,
    (_, bytes) => {
      sent += bytes
    },
  )
  const told: [bytes: number, total: number | undefined][] = []
  const onProgress = (bytes: number, total?: number) => void told.push([bytes, total])
  return {
    dir,
    sender,
    receiver,
    network,
    told,
    onProgress,
    from: { network, peer: 'sender' },
    sent: () => sent,
  }
}

test('what is not here is the total, and what comes grows to it', async () => {
  const { dir, sender, receiver, told, onProgress, from, sent } = await setup()
  const [known, fresh] = [bytesOf(6 * MIB), bytesOf(9 * MIB).map((byte) => byte ^ 0x5a)]
  await receiver.addBytes(known)
  const { root, size } = await sender.addPath(await writeTree(join(dir, 'tree'), { known, fresh }))
  await receiver.fetch(root, from, { onProgress })
  // At first only the size is known; then, that the receiver has some of it.
  expect(told[0]).toEqual([0, size])
  expect(told.at(-1)).toEqual([fresh.length, fresh.length])
  const totals = told.map(([, total]) => total!)
  expect(totals).toEqual([...totals].sort((a, b) => b - a))
  const bytes = told.map(([came]) => came)
  expect(bytes).toEqual([...bytes].sort((a, b) => a - b))
  expect(sent()).toBe(fresh.length)
})

test('a transfer that goes on has less to come', async () => {
  const { dir, sender, receiver, network, told, onProgress, from } = await setup()
  const content = bytesOf(24 * MIB)
  await writeFile(join(dir, 'big'), content)
  const { root } = await sender.addPath(join(dir, 'big'))
  let came = 0
  const cut = receiver.fetch(root, from, {
    onProgress: (bytes) => {
      came = bytes
      if (bytes < 8 * MIB) return
      for (const stream of network.opened) stream.abort(new ManyhandsError('PEER_GONE', 'cut'))
    },
  })
  await expect(cut).rejects.toThrow()
  await receiver.fetch(root, from, { onProgress })
  const [bytes, total] = told.at(-1)!
  expect(bytes).toBe(total)
  expect(total).toBeLessThanOrEqual(content.length - 8 * MIB)
  expect(came + total!).toBeGreaterThanOrEqual(content.length)
})

test('nothing is told of what is here', async () => {
  const { sender, receiver, told, onProgress, from } = await setup()
  const { root } = await sender.addBytes(bytesOf(MIB))
  await receiver.fetch(root, from)
  await receiver.fetch(root, from, { onProgress })
  expect(told).toEqual([])
})
