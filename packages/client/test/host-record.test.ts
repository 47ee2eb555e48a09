import { type Offer, type Resources, systemClock } from '@manyhands/core'
import { expect, it } from 'vitest'
import { HostRecord } from '../src/host-record.ts'

const parts = { clock: systemClock, random: () => 0.5 }
const cpus = (count: number): Resources => ({
  cpus: count,
  memoryBytes: count,
  diskBytes: count,
  gpus: 0,
  pids: count,
})
const offer = (revision: number, free: number) =>
  ({ peerId: 'host', instance: 'i', revision, free: cpus(free), share: cpus(4) }) as Offer

it('counts what is on its way until the host has answered', () => {
  const host = new HostRecord(offer(1, 4), parts)
  host.hold('a', cpus(1))
  expect(host.free.cpus).toBe(3)
  // A word from before.
  host.update(offer(2, 4))
  expect(host.free.cpus).toBe(3)
  host.answered('a')
  host.update(offer(3, 3))
  expect(host.free.cpus).toBe(3)
  host.letGo('a')
  expect(host.free.cpus).toBe(4)
})

it('gives back what had ended before the answer to its offer came, which still counts it', () => {
  const host = new HostRecord(offer(1, 1), parts)
  host.hold('a', cpus(1))
  host.letGo('a')
  host.answered('a')
  host.update(offer(2, 0))
  expect(host.free.cpus).toBe(1)
  // Once: the next word is from afterwards.
  host.update(offer(3, 0))
  expect(host.free.cpus).toBe(0)
})

it('gives back what the host says runs there, and had ended when that came', () => {
  const host = new HostRecord(offer(1, 2), parts)
  host.hold('a', cpus(1))
  host.answered('a')
  host.update(offer(2, 1))
  host.letGo('a')
  host.update(offer(3, 0), ['a', 'another'])
  expect(host.free.cpus).toBe(1)
})
