import { join } from 'node:path'
import {
  type ArtifactStore,
  createArtifactStore,
  createTransferGovernor,
  type TransferGovernor,
} from '@manyhands/core'
import { expect, onTestFinished, test } from 'vitest'
import { memoryNetwork } from './memory-network.ts'
import { bytesOf, codeOf, MIB, scratch } from './scratch.ts'

async function openStore(dir: string, governor?: TransferGovernor): Promise<ArtifactStore> {
  const store = await createArtifactStore({ dir, ...(governor === undefined ? {} : { governor }) })
  onTestFinished(() => store.close())
  return store
}

async function setup(governors: { sender?: TransferGovernor; receiver?: TransferGovernor }) {
  const dir = await scratch()
  const sender = await openStore(join(dir, 'sender'), governors.sender)
  const receiver = await openStore(join(dir, 'receiver'), governors.receiver)
  const network = memoryNetwork()
  await sender.serve(network, () => true)
  return { sender, receiver, from: { network, peer: 'sender' } }
}

test('every byte of content is asked for on both sides, before it goes on', async () => {
  const asked = { sender: 0, receiver: 0 }
  const held = Promise.withResolvers<void>()
  const { sender, receiver, from } = await setup({
    sender: {
      take: (direction, peer, bytes) => {
        expect([direction, peer]).toEqual(['up', 'receiver'])
        asked.sender += bytes
        return undefined
      },
    },
    receiver: {
      take: (direction, peer, bytes) => {
        expect([direction, peer]).toEqual(['down', 'sender'])
        asked.receiver += bytes
        return held.promise
      },
    },
  })
  const bytes = bytesOf(9.5 * MIB)
  const { root } = await sender.addBytes(bytes)
  let written = 0
  const fetching = receiver.fetch(root, from, {
    onProgress: (done) => {
      written = done
    },
  })
  await expect.poll(() => asked.receiver).toBeGreaterThan(0)
  expect(written).toBe(0)
  held.resolve()
  await fetching
  expect(asked).toEqual({ sender: bytes.length, receiver: bytes.length })
  expect(Buffer.compare(await receiver.read(root, ''), bytes)).toBe(0)
})

test('what is here already costs nothing of the quota', async () => {
  const governor = createTransferGovernor({ rules: { daily: { download: 5 * MIB } } })
  const { sender, receiver, from } = await setup({ receiver: governor })
  const { root } = await sender.addBytes(bytesOf(5 * MIB))
  await receiver.fetch(root, from)
  expect(governor.usedUp('down')).toBeDefined()
  await receiver.fetch(root, from)
  expect(governor.totals().received).toBe(5 * MIB)
})

test.each(['sender', 'receiver'] as const)(
  'a quota that is used up at the %s ends the transfer as what it is, and what came is not lost',
  async (side) => {
    const daily = { upload: 4 * MIB, download: 4 * MIB }
    const governor = createTransferGovernor({ rules: { daily } })
    const { sender, receiver, from } = await setup({ [side]: governor })
    const { root } = await sender.addBytes(bytesOf(6 * MIB))
    expect(await codeOf(receiver.fetch(root, from))).toBe('TRANSFER_QUOTA')
    const { sent, received } = governor.totals()
    expect(sent + received).toBeLessThanOrEqual(4 * MIB)
    governor.setRules({})
    await receiver.fetch(root, from)
    // Only whole chunks were kept: less than one batch travels twice.
    const total = governor.totals()
    expect(total.sent + total.received).toBeLessThan(6 * MIB + 4 * MIB)
  },
)
