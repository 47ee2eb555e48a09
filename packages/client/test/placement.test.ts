import { type Offer, type Resources, systemClock } from '@manyhands/core'
import { expect, it } from 'vitest'
import { HostRecord } from '../src/host-record.ts'
import type { JobRun } from '../src/job-run.ts'
import { chooseHost } from '../src/placement.ts'
import { Task } from '../src/task.ts'

const all: Resources = { cpus: 4, memoryBytes: 4, diskBytes: 4, gpus: 0, pids: 4 }
const nothing: Resources = { cpus: 0, memoryBytes: 0, diskBytes: 0, gpus: 0, pids: 0 }
const resources: Resources = { ...all, cpus: 1 }
const job = {
  document: { base: { image: 'any', resources }, hosts: {} },
  hooks: { rank: () => 0 },
  tasks: { attemptsAt: new Map() },
} as unknown as JobRun

function host(peerId: string, says: Partial<Offer> = {}): HostRecord {
  const offer = { peerId, instance: 'i', revision: 1, share: all, free: all, ...says } as Offer
  const record = new HostRecord(offer, { clock: systemClock, random: () => 0.5 })
  record.present = true
  return record
}

function task(): Task {
  const row = { index: 0, key: '1', phase: 'queued', epoch: 1, dispatches: 1, failures: 0 } as const
  return new Task(row, { job: 'j', item: 1, overrides: {}, clock: systemClock })
}

const full = { free: { ...all, cpus: 0 } }
const reasons: [string, (task: Task) => unknown][] = [
  ['took it back', (one) => one.evicted('here')],
  ['failed it', (one) => one.avoid.add('here')],
]

it.each(reasons)('a task waits for another host than the one that %s', (_, happened) => {
  const one = task()
  happened(one)
  expect(chooseHost(job, one, [host('here'), host('other', full)])).toBeUndefined()
  expect(chooseHost(job, one, [host('here'), host('other')])?.peerId).toBe('other')
})

const nobody: [string, HostRecord[]][] = [
  ['no other host', []],
  ['one that drains', [host('other', { draining: true })]],
  ['one that drains, and is full', [host('other', { draining: true, ...full })]],
  ['one that lends nothing at this hour', [host('other', { free: nothing })]],
]

it.each(nobody.flatMap(([what, others]) => reasons.map((why) => [what, others, ...why] as const)))(
  'a task waits for nobody: with %s, it goes to the one again that had it',
  (_, others, why, happened) => {
    const one = task()
    happened(one)
    expect(chooseHost(job, one, [host('here'), ...others])?.peerId, why).toBe('here')
  },
)

it('a checked task waits for the host that has its checkpoint while that is busy, not until it lends again', () => {
  const checked = { ...job, checking: { homeOf: () => 'home', isUnproven: () => false } }
  const where = (home: HostRecord) =>
    chooseHost(checked as unknown as JobRun, task(), [home, host('other')])?.peerId
  expect(where(host('home'))).toBe('home')
  expect(where(host('home', full))).toBeUndefined()
  expect(where(host('home', { free: nothing }))).toBe('other')
  expect(where(host('home', { draining: true }))).toBe('other')
  // Nothing is free there because all of it is ours.
  const ours = host('home')
  ours.hold('a.1', all)
  expect(where(ours)).toBeUndefined()
  ours.answered('a.1')
  ours.update({ ...ours.offer, revision: 2, free: nothing })
  expect(where(ours)).toBeUndefined()
  // It has just ended there, which the host has not said yet.
  ours.letGo('a.1')
  expect(where(ours)).toBe('home')
  // It lends nothing any more, and a little of ours still runs.
  const closed = host('home')
  closed.hold('a.1', resources)
  closed.answered('a.1')
  closed.update({ ...closed.offer, revision: 2, free: nothing })
  expect(where(closed)).toBe('other')
})
