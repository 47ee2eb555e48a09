import { LIMITS, type SignedJobClaim } from '@manyhands/core'
import { describe, expect, it } from 'vitest'
import { KeptClaims } from '../src/kept-claims.ts'

const claim = (client: string, n: number) =>
  ({ client, owner: `${client} ${n}`, job: `job-${n}`, epoch: 1 }) as SignedJobClaim
const many = (client: string, count: number) =>
  Array.from({ length: count }, (_, n) => claim(client, n))
const NONE = new Set<string>()

describe('claims that a host keeps', () => {
  it('of one client push out its own oldest, first those of jobs of which nothing is here', () => {
    const kept = new KeptClaims([claim('b', 0), ...many('a', LIMITS.jobsClaimedPerClient)])
    expect(kept.keep(claim('a', 1000), new Set(['a 0']))).toEqual(['a 1'])
    expect(kept.keep(claim('a', 1001), NONE)).toEqual(['a 0'])
    expect(kept.get('b 0')).toBeDefined()
    expect(kept.get('a 1001')).toBeDefined()
    // One that comes again takes the place of its own.
    expect(kept.keep(claim('a', 2), NONE)).toEqual([])
  })

  it('of all clients push out one of who has most', () => {
    const clients = LIMITS.jobsClaimed / LIMITS.jobsClaimedPerClient
    const full = Array.from({ length: clients }, (_, n) => {
      return many(`c${n}`, LIMITS.jobsClaimedPerClient - (n === 0 ? 1 : 0))
    })
    const kept = new KeptClaims([claim('b', 0), ...full.flat()])
    expect(kept.keep(claim('b', 1), NONE)).toEqual(['c1 0'])
    expect(kept.get('b 0')).toBeDefined()
  })
})
