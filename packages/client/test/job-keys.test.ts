import { createIdentity, type SignedJobClaim } from '@manyhands/core'
import { describe, expect, it } from 'vitest'
import { JobKeys } from '../src/job-keys.ts'
import type { Ownership } from '../src/journal/ownership-rows.ts'

const peers = Array.from({ length: 4 }, () => createIdentity().peerId).toSorted()
const [before, between, client, later] = peers as [string, string, string, string]

/** Keys of a job that came here as its third owner's. */
async function keysOf(epoch = 3) {
  const rows = new Map<string, Ownership>()
  const keys = new JobKeys(client, new Uint8Array(32), {
    ownership: { of: (job) => rows.get(job), put: (job, one) => void rows.set(job, one) },
    transact: async (work) => {
      await Promise.resolve()
      return work()
    },
  })
  await keys.change('job', { epoch, shared: true, owners: [] })
  return { keys, rows }
}

describe('what hosts say of earlier owners', () => {
  it('is learned also when several say it at once', async () => {
    const { keys, rows } = await keysOf()
    await Promise.all([
      keys.learn('job', 1_000_001, before),
      keys.learn('job', 2_000_001, between),
      keys.change('job', { shared: false }),
    ])
    const owners = [
      [1, before],
      [2, between],
    ]
    expect(keys.of('job')).toMatchObject({ owners, shared: false })
    expect(rows.get('job')).toMatchObject({ owners, shared: false })
    expect(keys.clientOf('job', 1_000_007)).toBe(before)
  })

  it('counts for owners before this one, and not against what is known', async () => {
    const { keys } = await keysOf()
    for (const at of [-1, 3, 4, 998, Number.NaN]) {
      await keys.learn('job', at * 1_000_000 + 1, before)
    }
    await keys.learn('job', 1, 'no peer')
    expect(keys.of('job').owners).toEqual([])
    await keys.learn('job', 1, before)
    await keys.learn('job', 2, between)
    expect(keys.of('job').owners).toEqual([[0, before]])
    expect(keys.mayBeOf('job', 2, between)).toBe(false)
    expect(keys.mayBeOf('job', 3_000_001, client)).toBe(true)
    expect(keys.mayBeOf('job', 3_000_001, between)).toBe(false)
  })
})

describe('claims of two clients', () => {
  const claim = (epoch: number, client: string) => ({ job: 'job', epoch, client }) as SignedJobClaim

  it('hold by their numbers, and then by the names of the clients', async () => {
    const { keys } = await keysOf()
    expect(keys.isNewer(claim(4, before))).toBe(true)
    expect(keys.isNewer(claim(3, later))).toBe(true)
    expect(keys.isNewer(claim(3, before))).toBe(false)
    expect(keys.isNewer(claim(2, later))).toBe(false)
    expect(keys.isNewer(claim(4, client))).toBe(false)
  })

  it('of one number do not share names of attempts', async () => {
    const { keys } = await keysOf()
    const first = keys.lastEpochBefore('job')
    expect(first).toBeGreaterThanOrEqual(3_000_000)
    expect(first).toBeLessThan(3_800_000)
    const firsts = peers.map((peer) => {
      const others = new JobKeys(peer, new Uint8Array(32), {
        ownership: { of: () => keys.of('job'), put: () => {} },
        transact: async (work) => work(),
      })
      return others.lastEpochBefore('job')
    })
    expect(new Set(firsts).size).toBeGreaterThan(1)
    expect((await keysOf(0)).keys.lastEpochBefore('job')).toBe(0)
  })
})
