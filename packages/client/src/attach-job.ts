import {
  concurrently,
  ManyhandsError,
  MOST_OWNERSHIPS,
  type Network,
  toManyhandsError,
} from '@manyhands/core'
import { isUnanswered, type JobClaims } from './job-claims.ts'
import type { JobHooks } from './job-document.ts'
import type { JobKeys } from './job-keys.ts'
import type { JobRun } from './job-run.ts'
import type { ClientJournal } from './journal/client-journal.ts'
import type { OpenJobs } from './open-jobs.ts'
import type { OwnerKey } from './owner-key.ts'
import type { Scheduler } from './scheduler.ts'

/** Hosts that are asked at once. */
const AT_ONCE = 16

export interface AttachParts {
  network: Network
  journal: ClientJournal
  keys: JobKeys
  jobs: OpenJobs
  claims: JobClaims
  scheduler: Scheduler
}

/**
 * Continues a job that another client began: its rows come into this journal under the next epoch, its hosts
 * are told, and what they have of it is taken over. Nothing is sent out yet.
 *
 * @throws NO_HOSTS when none of its hosts is to be reached, JOB_TAKEN when somebody was quicker, and what the
 *   hosts say when all of them refuse this client; then nothing of it stays here
 */
export async function attachJob(
  key: OwnerKey,
  hooks: JobHooks,
  parts: AttachParts,
): Promise<JobRun> {
  const { journal, keys, jobs, scheduler, claims } = parts
  const { id } = key.job
  const { seed, nonceKey, owners, epoch: before } = key.ownership
  const over = key.job.phase !== 'queued' && !['running', 'paused'].includes(key.job.phase)
  // Answers to renewals need the job; until then nothing that hosts name is said to be unwanted.
  const settled = scheduler.leases.expect()
  try {
    keys.borrow(id, { seed, nonceKey, owners, epoch: before, shared: true })
    const hosts = over ? [] : await reachable(key, parts)
    const epoch = Math.max(before, ...hosts.map(({ epoch }) => epoch)) + (over ? 0 : 1)
    if (epoch > MOST_OWNERSHIPS) {
      throw new ManyhandsError('LIMIT', `job ${id} has changed hands ${epoch - 1} times`)
    }
    await journal.transact(() => {
      journal.jobs.insert({ ...key.job, key: undefined, document: JSON.parse(key.document) })
      journal.jobs.move(id, { phase: key.job.phase, spent: key.job.spent })
      if (key.job.sourceDone) journal.jobs.markSourceDone(id)
      journal.copies.insert(id, key.rows)
      journal.ownership.put(id, { seed, nonceKey, owners, epoch, shared: true })
    })
    keys.forget(id)
    const run = jobs.restored(journal.jobs.get(id)!)
    if (over) return run
    run.give(hooks)
    await jobs.ready(run)
    scheduler.add(run)
    try {
      await claimAll(
        hosts.map(({ host }) => host),
        run,
        claims,
      )
    } catch (cause) {
      run.ending.leave()
      scheduler.remove(run)
      await run.inputs.release()
      await journal.jobs.remove(id)
      throw cause
    }
    return run
  } finally {
    keys.forget(id)
    settled()
  }
}

/** Peers of the key's hosts that are hosts, and of those that are known here, with what they say. */
async function reachable(
  key: OwnerKey,
  { network, claims }: AttachParts,
): Promise<{ host: string; epoch: number }[]> {
  await concurrently(key.hosts, AT_ONCE, async ({ peer, addresses }) => {
    for (const address of addresses) {
      if (peer !== undefined && network.isConnected(peer)) return
      await network.connect(address).catch(() => {})
    }
  })
  const found: { host: string; epoch: number }[] = []
  await concurrently(network.peers(), AT_ONCE, async (host) => {
    try {
      found.push({ host, epoch: await claims.epochAt(host, key.job.id) })
    } catch {
      // Not every peer is a host.
    }
  })
  if (found.length > 0) return found
  throw new ManyhandsError(
    'NO_HOSTS',
    `none of the ${key.hosts.length} hosts of job ${key.job.id} is to be reached from here`,
    { hint: 'Hosts decide who continues a job: connect to one of them, with network.bootstrap.' },
  )
}

/** @throws JOB_TAKEN from any of them, anything else when no host takes this client */
async function claimAll(hosts: string[], run: JobRun, claims: JobClaims): Promise<void> {
  const failures: ManyhandsError[] = []
  const unanswered: string[] = []
  await concurrently(hosts, AT_ONCE, (host) =>
    claims.claim(host, run).catch((cause) => {
      const error = toManyhandsError(cause)
      failures.push(error)
      if (isUnanswered(error)) unanswered.push(host)
    }),
  )
  const taken = failures.find(({ code }) => code === 'JOB_TAKEN')
  if (taken !== undefined) throw taken
  if (failures.length === hosts.length) throw failures[0]
  for (const host of unanswered) claims.insist(host, run)
}
