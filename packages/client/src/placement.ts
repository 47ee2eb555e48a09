import { firstShortage, LIMITS, ManyhandsError } from '@manyhands/core'
import type { HostRecord } from './host-record.ts'
import type { JobRun } from './job-run.ts'
import type { Task } from './task.ts'

/**
 * Why this host never gets tasks of this job, or undefined when it may. The words are those that
 * `job.why` shows.
 */
export function standingRefusal(job: JobRun, host: HostRecord): string | undefined {
  const { spec, base } = job.prepared
  const { offer } = host
  const selection = spec.hosts ?? {}
  if (selection.only !== undefined && !selection.only.includes(host.peerId)) {
    return 'not among hosts.only'
  }
  if (selection.deny?.includes(host.peerId)) return 'among hosts.deny'
  const runtime = offer.runtimes.find(({ name }) => name === base.runtime)
  if (runtime === undefined) return `does not offer runtime ${base.runtime}`
  const short = firstShortage(base.resources, offer.share)
  if (short !== undefined) {
    return `lends ${offer.share[short]} ${short} in all, the job asks for ${base.resources[short]}`
  }
  const excluded = job.excluded.get(host.peerId)
  if (excluded !== undefined) return `${excluded.code}: ${excluded.message}`
  if (selection.where !== undefined) {
    try {
      if (!selection.where(offer)) return 'hosts.where says no'
    } catch (cause) {
      throw new ManyhandsError('SPEC_INVALID', `hosts.where threw: ${(cause as Error).message}`, {
        cause,
      })
    }
  }
  return undefined
}

/** Why this host gets nothing of this job at this moment, or undefined when it may. */
export function passingRefusal(job: JobRun, host: HostRecord): string | undefined {
  const { spec, base } = job.prepared
  if (!host.present) return 'not connected'
  if (host.suspect) return 'suspect: no renewal of its leases lately'
  if (host.offer.draining) return 'draining'
  if (performance.now() < host.restUntil) return 'refused lately, is asked again soon'
  if (host.isBlackHole(base.image)) return 'failed several tasks of this image at once'
  if (!host.fits(base.resources)) {
    const short = firstShortage(base.resources, host.free)!
    return `busy: ${host.free[short]} ${short} free, the job asks for ${base.resources[short]}`
  }
  const here = job.attemptsAt.get(host.peerId) ?? 0
  if (here >= (spec.hosts?.perHost ?? Number.POSITIVE_INFINITY)) return 'hosts.perHost reached'
  if (host.inFlight.size >= LIMITS.attemptsPerClient) return 'too many attempts of ours there'
  if (here === 0 && spec.hosts?.max !== undefined && job.attemptsAt.size >= spec.hosts.max) {
    return 'hosts.max reached'
  }
  return undefined
}

/** Whether a host will take work at all, now or when something ends. */
export function mayWork(host: HostRecord): boolean {
  return host.present && !host.offer.draining
}

/** The best host for a task among the candidates, or undefined when it has to wait. */
export function chooseHost(
  job: JobRun,
  task: Task,
  candidates: HostRecord[],
): HostRecord | undefined {
  const open = candidates.filter((host) => passingRefusal(job, host) === undefined)
  // Best one that neither failed this task nor took its computer back from it, then one that took it
  // back, and one that failed it only when there is no other candidate at all.
  const innocent = (host: HostRecord) => !task.avoid.has(host.peerId)
  const welcome = (host: HostRecord) => innocent(host) && !task.keepsAwayFrom(host.peerId)
  const first = [welcome, innocent].find((may) =>
    candidates.some((host) => mayWork(host) && may(host)),
  )
  const pool = first === undefined ? open : open.filter(first)
  let best: HostRecord | undefined
  let bestScore = Number.NEGATIVE_INFINITY
  for (const host of pool) {
    const score = scoreOf(job, host)
    if (score <= bestScore) continue
    best = host
    bestScore = score
  }
  return best
}

function scoreOf(job: JobRun, host: HostRecord): number {
  const rank = job.prepared.spec.hosts?.rank
  if (rank === undefined) {
    // Spread: the emptiest host first, so that all hosts work from the start.
    return host.free.cpus / Math.max(host.offer.share.cpus, 1)
  }
  try {
    return Number(rank(host.offer, host.history()))
  } catch (cause) {
    throw new ManyhandsError('SPEC_INVALID', `hosts.rank threw: ${(cause as Error).message}`, {
      cause,
    })
  }
}
