import { createTransferGovernor } from '@manyhands/core'
import { expect, it } from 'vitest'
import { MIB } from '../artifacts/scratch.ts'
import { connectTo, owner, sum, testPeer } from './peers.ts'

const PEERS = 6

it('under a cap that many share, each sees something of it before it gives up', async () => {
  const governor = createTransferGovernor({ rules: { upload: MIB } })
  const from = await owner(MIB, { governor })
  const receivers = await Promise.all(
    Array.from({ length: PEERS }, () => testPeer({ stallMs: 1500 })),
  )
  const begun = performance.now()
  await Promise.all(
    receivers.map(async (receiver) => {
      await receiver.store.fetch(from.root, await connectTo(receiver, from))
      expect(Buffer.compare(await receiver.store.read(from.root, ''), from.content)).toBe(0)
    }),
  )
  expect(sum(from.given)).toBe(PEERS * MIB)
  // What a quarter of a second saves up goes at once, and the last piece is paid for afterwards.
  expect(performance.now() - begun).toBeGreaterThan(1000 * (PEERS - 1))
})

it('lots are small under a low cap or a quota alone', () => {
  const lot = (rules: object) => createTransferGovernor({ rules }).lotBytes!('up')
  expect(lot({})).toBeUndefined()
  expect(lot({ download: MIB })).toBeUndefined()
  expect(lot({ upload: MIB })).toBe(64 * 1024)
  expect(lot({ upload: 160 * MIB })).toBe(10 * MIB)
  expect(lot({ upload: 160 * MIB, perPeer: { upload: 16 * MIB } })).toBe(MIB)
  expect(lot({ daily: { upload: 160 * MIB } })).toBe(MIB / 2)
})
