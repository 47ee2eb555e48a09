import {
  addResources,
  firstShortage,
  LIMITS,
  ManyhandsError,
  type Resources,
} from '@manyhands/core'
import type { HostRecord } from './host-record.ts'
import { costOf, type ScoreContext } from './host-score.ts'
import type { JobRun } from './job-run.ts'
import type { Task } from './task.ts'

/**
 * Why this host never gets tasks of this job, or undefined when it may. The words are those that
 * `job.why` shows.
 */
export function standingRefusal(job: JobRun, host: HostRecord): string | undefined {
  const { base, hosts: selection } = job.document
  const { offer } = host
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
  if (job.checking?.isWrong(host.peerId)) return 'gave a wrong result of this job'
  const { where } = job.hooks
  if (where !== undefined) {
    try {
      if (!where(offer)) return 'hosts.where says no'
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
  const { base, hosts: selection } = job.document
  if (!host.present) return host.absence ?? 'not connected'
  if (!host.connected) return 'known by its offer, not connected yet'
  if (host.suspect) return 'suspect: no renewal of its leases lately'
  if (host.offer.draining) return 'draining'
  if (host.rests) return 'refused lately, is asked again soon'
  if (host.isBlackHole(base.image)) return 'failed several tasks of this image at once'
  if (!host.fits(base.resources)) {
    const short = firstShortage(base.resources, host.free)!
    return `busy: ${host.free[short]} ${short} free, the job asks for ${base.resources[short]}`
  }
  const here = job.tasks.attemptsAt.get(host.peerId) ?? 0
  if (here >= (selection.perHost ?? Number.POSITIVE_INFINITY)) return 'hosts.perHost reached'
  if (host.inFlight.size >= LIMITS.attemptsPerClient) return 'too many attempts of ours there'
  if (here === 0 && selection.max !== undefined && job.tasks.attemptsAt.size >= selection.max) {
    return 'hosts.max reached'
  }
  return undefined
}

/** Whether a host may get tasks that are no checks. */
export function isProven({ checking }: JobRun, { peerId }: HostRecord): boolean {
  return checking?.isUnproven(peerId) !== true
}

/** That it is full is by far the commonest reason, and here nobody asks for the words. */
function isOpen(job: JobRun, host: HostRecord): boolean {
  const now = host.connected && host.fits(job.document.base.resources)
  return now && passingRefusal(job, host) === undefined
}

/** Whether a host will take work at all, now or when something ends. */
export function mayWork(host: HostRecord): boolean {
  return host.present && !host.offer.draining
}

/**
 * Whether waiting for a host is worth while. One that lends nothing at this hour, and so has nothing free of
 * anything, may be the only other one for half a day. One that is full of what is ours is only busy; what has just
 * ended there is free before the host says so.
 */
export function isSomebody(host: HostRecord): boolean {
  if (!mayWork(host)) return false
  return hasSome(host.offer.free) || hasSome(host.free) || !hasSome(notOurs(host))
}

const hasSome = (free: Resources) => Object.values(free).some((amount) => amount > 0)

/** What a host lends, without what we have of it. */
function notOurs({ offer, inFlight }: HostRecord): Resources {
  return inFlight.values().reduce((left, held) => addResources(left, held, -1), offer.share)
}

/** The best host for a task among the candidates, or undefined when it has to wait. */
export function chooseHost(
  job: JobRun,
  task: Task,
  candidates: HostRecord[],
  context?: ScoreContext,
): HostRecord | undefined {
  const open = candidates.filter(
    (host) => isOpen(job, host) && (task.checks || isProven(job, host)),
  )
  // Best one that neither failed this task nor took its computer back from it, then one that took it
  // back, and one that failed it only when there is no other candidate at all.
  const innocent = (host: HostRecord) => !task.avoid.has(host.peerId)
  const welcome = (host: HostRecord) => innocent(host) && !task.keepsAwayFrom(host.peerId)
  const first = task.choosy
    ? [welcome, innocent].find((may) => candidates.some((host) => isSomebody(host) && may(host)))
    : undefined
  const home = homeOf(job, task, candidates)
  const pool = open.filter((host) => (home === undefined ? first?.(host) !== false : host === home))
  let best: HostRecord | undefined
  let bestScore = Number.NEGATIVE_INFINITY
  for (const host of pool) {
    const score = scoreOf(job, task, host, context)
    if (best !== undefined && score <= bestScore) continue
    best = host
    bestScore = score
  }
  return best
}

/**
 * The only host at which a task would not begin anew, while that may still take it: then it waits, however busy
 * that host is, but not until it lends again. One that has failed the task, or whose owner took the computer back
 * from it, is waited for by nobody.
 */
export function homeOf(
  { checking }: JobRun,
  task: Task,
  candidates: HostRecord[],
): HostRecord | undefined {
  const peer = checking?.homeOf(task)
  if (peer === undefined || task.avoid.has(peer) || task.keepsAwayFrom(peer)) return undefined
  return candidates.find((host) => host.peerId === peer && isSomebody(host))
}

/** Hosts that can take a task of the job now, the best first. */
export function openHosts(job: JobRun, candidates: HostRecord[]): HostRecord[] {
  return candidates
    .filter((host) => isOpen(job, host))
    .map((host) => ({ host, score: scoreOf(job, undefined, host) }))
    .sort((a, b) => b.score - a.score)
    .map(({ host }) => host)
}

/** About how many tasks of the job these hosts can run at once. */
export function slotsOf(job: JobRun, hosts: HostRecord[]): number {
  const { base, hosts: selection } = job.document
  const slots = hosts
    .filter(mayWork)
    .map(({ offer }) =>
      Math.min(
        selection.perHost ?? Number.POSITIVE_INFINITY,
        Math.floor(offer.share.cpus / base.resources.cpus),
      ),
    )
    .sort((a, b) => b - a)
    .slice(0, selection.max)
  return Math.max(
    1,
    slots.reduce((sum, count) => sum + count, 0),
  )
}

function scoreOf(
  job: JobRun,
  task: Task | undefined,
  host: HostRecord,
  context?: ScoreContext,
): number {
  const { rank } = job.hooks
  if (rank === undefined) return -costOf(job, task, host, context)
  let score: unknown
  try {
    score = rank(host.offer, host.history(job.document.base.image))
  } catch (cause) {
    job.complain(
      new ManyhandsError('SPEC_INVALID', `hosts.rank threw: ${(cause as Error)?.message ?? cause}`),
    )
    return Number.NEGATIVE_INFINITY
  }
  if (typeof score === 'number' && !Number.isNaN(score)) return score
  job.complain(
    new ManyhandsError('SPEC_INVALID', `hosts.rank returned ${String(score)} for ${host.peerId}`),
  )
  return Number.NEGATIVE_INFINITY
}
