import {
  type AttemptSpec,
  addResources,
  createTransferGovernor,
  type Resources,
} from '@manyhands/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AdmissionLedger } from '../src/admission-ledger.ts'
import { admissionState } from '../src/admission-state.ts'
import { Attempt } from '../src/attempt.ts'
import { AttemptRegistry } from '../src/attempt-registry.ts'
import { ImageNames } from '../src/image-names.ts'
import type { HostPolicy } from '../src/policy.ts'
import { PolicyBook } from '../src/policy-book.ts'
import { PolicyEnforcer } from '../src/policy-enforcer.ts'

const NONE: Resources = { cpus: 0, memoryBytes: 0, diskBytes: 0, gpus: 0, pids: 0 }
const LARGE: Resources = { cpus: 99, memoryBytes: 99, diskBytes: 99, gpus: 99, pids: 99 }
const GPUS = Array.from({ length: LARGE.gpus }, (_, n) => {
  return { id: `gpu-${n}`, model: 'any', memoryBytes: 1 }
})

/** A host of attempts that end as soon as they are told to. */
function host(policy: HostPolicy) {
  const attempts = new AttemptRegistry()
  const ledger = new AdmissionLedger(LARGE, GPUS)
  const used = new Map<string, { cpuMs: number; bytes: number }>()
  const state = admissionState({
    ledger,
    policy: new PolicyBook(policy),
    blocked: new Set(),
    runtimes: new Map(),
    attempts,
    draining: () => false,
    lastDayOf: (client) => used.get(client) ?? { cpuMs: 0, bytes: 0 },
    imagesInUse: () => 0,
    brokeLimits: () => ({ count: 0, waitMs: 0 }),
    diskShort: () => undefined,
    schedule: () => [],
    transfer: createTransferGovernor(),
    holds: () => true,
  })
  const reasons = new Map<string, string>()
  const enforcer = new PolicyEnforcer({
    state,
    live: () => attempts.live(),
    images: new ImageNames(new Map(), { debug: () => {}, warn: () => {} }),
    end: (ended, intent) => {
      for (const attempt of ended) {
        attempt.intend(intent)
        reasons.set(attempt.id, intent.reason)
        attempts.remove(attempt)
        ledger.release(attempt.id)
      }
      return Promise.resolve()
    },
  })
  const run = (
    id: string,
    client: string,
    resources: Resources,
    more: Partial<AttemptSpec> = {},
  ) => {
    const spec: AttemptSpec = {
      runtime: 'any',
      image: 'any',
      env: {},
      inputs: [],
      outputs: [],
      resources,
      timeoutMs: 0,
      networkProfile: 'none',
      ...more,
    }
    const attempt = new Attempt({ id, client, job: 'j', jobName: '', task: id, spec })
    attempts.add(attempt)
    ledger.reserve(id, resources)
    return attempt
  }
  return { attempts, ledger, used, state, reasons, enforcer, run }
}

describe('PolicyEnforcer', () => {
  it('leaves what fits, the oldest first, whatever the sizes', async () => {
    const resources = fc
      .record({ cpus: fc.nat(4), memoryBytes: fc.nat(4), gpus: fc.nat(1) })
      .map((some): Resources => ({ ...NONE, ...some }))
    const arbitrary = fc.record({
      running: fc.array(fc.record({ client: fc.constantFrom('a', 'b'), resources }), {
        maxLength: 12,
      }),
      share: resources,
      maxAttempts: fc.integer({ min: 1, max: 12 }),
      perClient: fc.integer({ min: 1, max: 12 }),
    })
    await fc.assert(
      fc.asyncProperty(arbitrary, async ({ running, share, maxAttempts, perClient }) => {
        const { attempts, ledger, enforcer, reasons, run } = host({
          policy: { maxAttempts, quotas: { perClient: { attempts: perClient } } },
        })
        for (const [n, one] of running.entries()) run(String(n), one.client, one.resources)
        ledger.resize(share, GPUS)
        await enforcer.rejudge({ admit: false })
        const left = attempts.live()
        const sum = left.reduce((all, { limits }) => addResources(all, limits), NONE)
        for (const key of ['cpus', 'memoryBytes', 'gpus'] as const) {
          expect(sum[key]).toBeLessThanOrEqual(share[key])
        }
        expect(ledger.reserved).toEqual(sum)
        expect(left.length).toBeLessThanOrEqual(maxAttempts)
        for (const client of ['a', 'b']) {
          expect(attempts.ofClient(client).length).toBeLessThanOrEqual(perClient)
        }
        for (const reason of reasons.values()) {
          expect(reason).toMatch(/^policy: (share|maxAttempts|quotas\.attempts): /)
        }
        // What holds nothing of what is short is not evicted for it.
        for (const [id, reason] of reasons) {
          const held = running[Number(id)]!.resources
          if (reason.includes('more gpus')) expect(held.gpus).toBeGreaterThan(0)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('ends what ran longer than a longest time that was lowered', async () => {
    const { enforcer, reasons, run } = host({ policy: { maxRuntime: '1h' } })
    run('long', 'a', NONE).ranBefore(3_600_000 + 60_000)
    run('short', 'a', NONE).ranBefore(3_600_000)
    await enforcer.tick()
    expect([...reasons]).toEqual([['long', 'policy: maxRuntime: ran longer than 1h 0m']])
  })

  it('ends everything of a client that used up its day, and nothing of others', async () => {
    const { enforcer, reasons, run, used } = host({
      policy: {
        quotas: { perClient: { cpuHoursPerDay: 1 }, clients: { friend: { transferPerDay: 5 } } },
      },
    })
    for (const client of ['a', 'b', 'friend']) run(client, client, NONE)
    used.set('a', { cpuMs: 3_600_000, bytes: 0 })
    used.set('b', { cpuMs: 3_599_999, bytes: 1e12 })
    used.set('friend', { cpuMs: 1e12, bytes: 4 })
    await enforcer.tick()
    expect([...reasons]).toEqual([['a', 'quota: used 1 of 1 core-hours in the last 24 hours']])
    used.set('friend', { cpuMs: 0, bytes: 5 })
    await enforcer.tick()
    expect(reasons.get('friend')).toBe('quota: used 5 B of 5 B transfer in the last 24 hours')
    expect(reasons.has('b')).toBe(false)
  })

  it('asks the owner’s function once for what is the same, and tells no more than fits', async () => {
    const asked: string[] = []
    const { enforcer, reasons, run } = host({
      policy: {
        admit: ({ image }) => {
          asked.push(image)
          return image === 'good'
        },
        images: ['good', 'bad'],
      },
    })
    run('1', 'a', NONE, { image: 'good' })
    run('2', 'a', NONE, { image: 'bad' })
    run('3', 'a', NONE, { image: 'bad' })
    run('4', 'a', NONE, { image: 'x'.repeat(4000) })
    await enforcer.rejudge({ admit: true })
    expect(asked.toSorted()).toEqual(['bad', 'good'])
    expect([...reasons.keys()].toSorted()).toEqual(['2', '3', '4'])
    expect(reasons.get('2')).toBe('policy: admit: the owner’s own rule says no')
    expect(reasons.get('4')).toHaveLength(1000)
  })
})
