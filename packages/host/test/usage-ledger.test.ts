import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { NO_USAGE } from '@manyhands/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Attempt } from '../src/attempt.ts'
import { type HostJournal, openHostJournal } from '../src/host-journal.ts'
import { UsageLedger } from '../src/usage-ledger.ts'
import { runningAttempt } from './attempt-for-tests.ts'

const HOUR_MS = 3_600_000
const SILENT = { debug: () => {}, warn: () => {} }

let dir: string
let journal: HostJournal
let ledger: UsageLedger
let now: number

async function reopen(): Promise<void> {
  await ledger.close()
  await journal.close()
  open()
}

function open(): void {
  journal = openHostJournal(join(dir, 'host.db'), () => 'instance')
  ledger = new UsageLedger(journal.usage, SILENT, () => now)
}

function used(attempt: Attempt, cpuMs: number): void {
  attempt.usage = { ...NO_USAGE, cpuMs, cpu: 0.5, memory: 100 }
  ledger.measured(attempt)
}

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'manyhands-test-'))
  now = 1000 * HOUR_MS
  open()
})
afterEach(async () => {
  await ledger.close()
  await journal.close()
  await rm(dir, { recursive: true, force: true })
})

describe('UsageLedger', () => {
  it('adds up per client and per job, what is live and what is over', async () => {
    const a = runningAttempt('a.1', { client: 'ann', job: 'one' })
    const b = runningAttempt('b.1', { client: 'ann', job: 'two' })
    const c = runningAttempt('c.1', { client: 'bob', job: 'one' })
    for (const attempt of [a, b, c]) ledger.began(attempt)
    used(a, 100)
    used(a, 250)
    used(b, 1000)
    ledger.received(a, 5)
    ledger.sent('ann', b, 7)
    a.move('collecting')
    await ledger.ended(a, 'completed')
    a.move('completed')
    const totals = ledger.totals([a, b, c])
    expect(totals.clients).toMatchObject([
      { client: 'ann', live: 1, cpu: 0.5, memory: 100, cpuMs: 1250, bytesIn: 5, bytesOut: 7 },
      { client: 'bob', live: 1, cpuMs: 0 },
    ])
    expect(totals.clients[0]!.ended).toMatchObject({ completed: 1, failed: 0 })
    const one = totals.jobs.find(({ client, job }) => client === 'ann' && job === 'one')
    expect(one).toMatchObject({ jobName: 'name of one', cpuMs: 250, live: 0, bytesIn: 5 })
    expect(one!.ended.completed).toBe(1)
  })

  it('survives a restart, and counts what an adopted attempt used once', async () => {
    const before = runningAttempt('a.1', { client: 'ann' })
    used(before, 500)
    const { since } = ledger.totals([])
    await reopen()
    expect(ledger.totals([]).clients).toMatchObject([{ client: 'ann', cpuMs: 500, live: 0 }])
    expect(ledger.totals([]).since).toBe(since)
    // The counters of the sandbox went on; the first half of them is in the account already.
    const adopted = runningAttempt('a.1', { client: 'ann' })
    used(adopted, 800)
    expect(ledger.totals([]).clients).toMatchObject([{ client: 'ann', cpuMs: 800 }])
    await ledger.ended(adopted, 'evicted')
    await reopen()
    expect(ledger.countedOf('a.1')).toBeUndefined()
    expect(ledger.totals([]).clients).toMatchObject([{ cpuMs: 800, ended: { evicted: 1 } }])
  })

  it('is durable with every end, without being closed', async () => {
    const attempt = runningAttempt('a.1', { client: 'ann' })
    used(attempt, 500)
    await ledger.ended(attempt, 'failed')
    expect(journal.usage.accounts()).toMatchObject([
      { client: 'ann', job: '', account: { cpuMs: 500, ended: { failed: 1 } } },
      { client: 'ann', job: 'job', account: { cpuMs: 500 } },
    ])
  })

  it('knows what a client used in the last 24 hours', async () => {
    const attempt = runningAttempt('a.1', { client: 'ann' })
    used(attempt, 1000)
    ledger.received(attempt, 10)
    now += 12 * HOUR_MS
    used(attempt, 3000)
    expect(ledger.lastDay('ann')).toEqual({ cpuMs: 3000, bytes: 10 })
    await reopen()
    expect(ledger.lastDay('ann')).toEqual({ cpuMs: 3000, bytes: 10 })
    now += 12 * HOUR_MS
    expect(ledger.lastDay('ann')).toEqual({ cpuMs: 2000, bytes: 0 })
    expect(ledger.lastDay('nobody')).toEqual({ cpuMs: 0, bytes: 0 })
  })

  it('forgets nothing of the day when the clock is set back', () => {
    const attempt = runningAttempt('a.1', { client: 'ann' })
    used(attempt, 1000)
    now -= 2 * HOUR_MS
    used(attempt, 1500)
    expect(ledger.lastDay('ann').cpuMs).toBe(1500)
  })

  it('keeps the 1024 most recently active clients and jobs, also on disk', async () => {
    for (let n = 0; n < 1100; n += 1) {
      used(runningAttempt(`${n}.1`, { client: `client-${n}`, job: 'j' }), 1)
    }
    expect(ledger.totals([]).clients).toHaveLength(1024)
    expect(ledger.totals([]).clients[0]!.client).toBe('client-1099')
    await reopen()
    const { clients, jobs } = ledger.totals([])
    expect(clients).toHaveLength(1024)
    expect(jobs).toHaveLength(1024)
    expect(clients.at(-1)!.client).toBe('client-76')
  })
})
