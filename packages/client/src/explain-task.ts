import { ManyhandsError } from '@manyhands/core'
import type { HostDirectory } from './host-directory.ts'
import type { HostRecord } from './host-record.ts'
import type { HostVerdict } from './job.ts'
import type { JobRun } from './job-run.ts'
import type { ClientJournal } from './journal/client-journal.ts'
import { homeOf, isProven, passingRefusal, standingRefusal } from './placement.ts'
import type { Task } from './task.ts'

/** Needs that are named one by one. */
const NAMED = 5

export interface ExplainParts {
  run: JobRun
  journal: ClientJournal
  directory: Pick<HostDirectory, 'records'>
}

/**
 * Of every known host, why a task is not there, or what it waits for.
 *
 * @throws NOT_FOUND when the job has no such task
 */
export function explainTask({ run, journal, directory }: ExplainParts, key: string): HostVerdict[] {
  const task =
    run.tasks.ready.find((one) => one.key === key) ??
    [...run.tasks.running.values()].find((one) => one.key === key)
  const checked = task === undefined && run.checking?.isOpen(key) === true
  const general =
    task === undefined && !checked ? whatKeepsIt(run, journal, key) : whatKeepsAll(run)
  const home = task && homeAmong(run, task, directory.records())
  const verdictOf = (host: HostRecord): HostVerdict => {
    const { peerId } = host
    if (checked && general === undefined) return asJudge(run, key, host)
    if (general !== undefined) return { host: peerId, eligible: false, reason: general }
    if (task?.running.some((attempt) => attempt.host === peerId)) {
      return { host: peerId, eligible: true, reason: 'runs there now' }
    }
    const reason = refusalOf(run, task, host)
    if (reason !== undefined) return { host: peerId, eligible: false, reason }
    if (home !== undefined && home !== host) {
      const elsewhere = `its result is checked: it goes on at ${home.peerId}, which made its checkpoint`
      return { host: peerId, eligible: false, reason: elsewhere }
    }
    return { host: peerId, eligible: true, reason: placeOf(run, task) }
  }
  return directory.records().map((host) => {
    const rttMs = host.roundTrip.ms
    return { ...verdictOf(host), ...(rttMs === undefined ? {} : { rttMs }) }
  })
}

/** Of a task that is over and being checked: whether a host may run it again. */
function asJudge(run: JobRun, key: string, host: HostRecord): HostVerdict {
  const { peerId } = host
  const why =
    run.checking?.whyNot(key, peerId) ?? standingRefusal(run, host) ?? passingRefusal(run, host)
  return why === undefined
    ? { host: peerId, eligible: true, reason: 'may check its result' }
    : { host: peerId, eligible: false, reason: `its result is being checked; ${why}` }
}

/** Why nothing of the job is sent out at all. */
function whatKeepsAll(run: JobRun): string | undefined {
  if (run.fenced !== undefined) return run.fenced.message
  if (run.phase === 'paused') return 'the job is paused'
  if (run.missing.length > 0) return `the job waits for its ${run.missing.join(', ')}`
  if (!run.attached) return 'nobody has asked for the job in this process'
  if (!run.over && !run.tasks.intake.open) return 'the tasks of the job are still being read'
  return undefined
}

/** Why a task is nowhere that is neither in the head of the line nor out. */
function whatKeepsIt(run: JobRun, journal: ClientJournal, key: string): string | undefined {
  const phase = journal.tasks.phaseOf(run.id, key)
  if (phase === undefined) {
    if (run.tasks.cutting !== undefined) return 'it is no part of the range that was cut so far'
    throw new ManyhandsError('NOT_FOUND', `job ${run.id} has no task ${key}`, {
      hint: 'A task of a source that is read bit by bit exists once it was read.',
    })
  }
  if (phase !== 'queued') return `the task is over: ${phase}`
  const unmet = journal.needs.unmet(run.id, key, NAMED + 1)
  if (unmet.length > NAMED) return `waits for ${unmet.slice(0, NAMED).join(', ')} and others`
  if (unmet.length > 0) return `waits for ${unmet.join(', ')}`
  return whatKeepsAll(run) ?? `waits in line behind ${run.tasks.ready.length} and more`
}

function refusalOf(run: JobRun, task: Task | undefined, host: HostRecord): string | undefined {
  return (
    standingRefusal(run, host) ??
    passingRefusal(run, host) ??
    (isProven(run, host) ? undefined : 'its first results are being checked') ??
    (task?.avoid.has(host.peerId) ? 'failed this task before' : undefined) ??
    (task?.keepsAwayFrom(host.peerId) ? 'evicted this task a moment ago' : undefined)
  )
}

function homeAmong(run: JobRun, task: Task, hosts: HostRecord[]): HostRecord | undefined {
  const candidates = hosts.filter((host) => standingRefusal(run, host) === undefined)
  return homeOf(run, task, candidates)
}

function placeOf({ tasks }: JobRun, task: Task | undefined): string {
  if (task === undefined || task.phase === 'running') return 'may go there'
  const before = tasks.ready.indexOf(task)
  return before <= 0 ? 'may go there: it is the next one' : `may go there after ${before} others`
}
