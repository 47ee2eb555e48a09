import {
  LIMITS,
  ManyhandsError,
  type Network,
  toManyhandsError,
  type WireAttempt,
} from '@manyhands/core'
import type { Checkpoints } from './checkpoints/checkpoints.ts'
import type { HeldResults } from './held-results.ts'
import type { HostDirectory } from './host-directory.ts'
import type { HostRecord } from './host-record.ts'
import type { ChunkItem } from './job-cutting.ts'
import type { JobRun } from './job-run.ts'
import type { ClientJournal } from './journal/client-journal.ts'
import type { TaskRow } from './journal/task-rows.ts'
import { judgeError } from './judge-end.ts'
import type { Setbacks } from './setbacks.ts'
import { inputsOwner, type LiveAttempt, type Task } from './task.ts'
import { isUnheard } from './unheard.ts'

/** Attempts of a task that were lost and are remembered in the journal, the latest ones. */
const LOST_KEPT = 4

/** When a host whose answer was cut off is asked again that is not known to be back, ms. */
const ASK_AGAIN_MS = { first: 50, most: 1_000 }

/** What goes to one host in one pass, of one job. */
export interface Outgoing {
  host: HostRecord
  job: JobRun
  sends: Send[]
}

export interface Send {
  task: Task
  attempt: LiveAttempt
}

export interface DispatcherOptions {
  network: Network
  journal: ClientJournal
  directory: HostDirectory
  setbacks: Setbacks
  held: HeldResults
  checkpoints: Checkpoints
  now: () => number
}

/** Brings attempts to hosts: durable first, then offered; what the host says of each goes on. */
export class Dispatcher {
  readonly #options: DispatcherOptions

  constructor(options: DispatcherOptions) {
    this.#options = options
  }

  /** Resolves when the host has answered for all of them, or cannot. */
  async send({ host, job, sends }: Outgoing): Promise<void> {
    const calls: Promise<void>[] = []
    for (let at = 0; at < sends.length; at += LIMITS.attemptsPerOffer) {
      calls.push(this.#offer(host, job, sends.slice(at, at + LIMITS.attemptsPerOffer)))
    }
    await Promise.all(calls)
  }

  async #offer(host: HostRecord, job: JobRun, sends: Send[]): Promise<void> {
    const { directory, setbacks, network } = this.#options
    const link = directory.link(host.peerId)
    try {
      const { revision } = job.tasks.undone
      const wanted = (await this.#supplied(host, job, sends)).filter(isWanted)
      for (const { task, attempt } of wanted) this.#options.checkpoints.begin(job, task, attempt)
      const written = await this.#journaled(job, wanted, revision)
      if (written.length === 0) return
      link.follow(job.id)
      // It may have been canceled, or stood back, while that was written.
      const offered = written.filter(isWanted)
      if (offered.length === 0) return
      await this.#asked(host, job, offered)
    } catch (cause) {
      const error = toManyhandsError(cause, 'PEER_GONE')
      for (const { task, attempt } of sends) {
        if (attempt.acceptedAt === undefined) setbacks.refused(job, task, attempt, error, 'move')
      }
      if (!network.isConnected(host.peerId)) directory.unreachable(host.peerId)
    }
  }

  /**
   * What was cut on its way is asked again when the host is back, within a lease: it may have taken it, and
   * answers as it did the first time. What it has told of meanwhile it has.
   */
  async #asked(host: HostRecord, job: JobRun, sends: Send[]): Promise<void> {
    const { directory, now } = this.#options
    const link = directory.link(host.peerId)
    const askedAt = now()
    let open = sends
    for (let waitMs = ASK_AGAIN_MS.first; ; waitMs = Math.min(2 * waitMs, ASK_AGAIN_MS.most)) {
      const about = { id: job.id, name: job.name }
      try {
        const answer = await link.offer(about, job.document.base, open.map(wireAttempt))
        this.#answered(host, job, open, answer)
        return
      } catch (cause) {
        const leftMs = askedAt + link.leaseMs - now()
        // One that was there and did not answer for so long is asked no more.
        const again = isUnheard(cause) && toManyhandsError(cause).code !== 'TIMEOUT'
        if (!again || leftMs <= 0) throw cause
        await link.untilReached(Math.min(leftMs, waitMs))
        for (const send of open) {
          const { attempt } = send
          if (!isOpen(send) || (attempt.phase === 'offered' && attempt.renewedAt <= askedAt))
            continue
          host.answered(attempt.id)
          this.#accepted(host, job, send, now())
        }
        open = open.filter((send) => isOpen(send) && send.attempt.acceptedAt === undefined)
        if (open.length === 0) return
      }
    }
  }

  /**
   * The epoch is durable before the offer leaves. A full disk of ours is nobody's fault: it is waited for.
   *
   * @param revision - of the job's results when what these take was looked up
   * @returns those that may leave
   */
  async #journaled(job: JobRun, sends: Send[], revision: number): Promise<Send[]> {
    const { journal, setbacks } = this.#options
    // What a check has come to is known when it is decided: until then it may be asked for again.
    const kept = sends.filter(({ task }) => !task.checks)
    if (kept.length === 0) return sends
    let outdated: Send[] = []
    try {
      await journal.transact(() => {
        // Whoever changes a result from now on sees that these are out.
        outdated = job.tasks.undone.revision === revision ? [] : kept.filter(takes)
        const wanted = kept.filter((send) => !send.task.revoked && !outdated.includes(send))
        const cut = wanted.filter(({ task }) => task.chunk !== undefined)
        journal.tasks.insertCut(
          job.id,
          cut.map(({ task }) => rowOf(task)),
        )
        if (job.document.items !== undefined) {
          journal.jobs.insertInputs(job.id, job.inputs.unsaved())
        }
        journal.tasks.dispatched(job.id, wanted.map(journaled))
      })
    } catch (cause) {
      const error = toManyhandsError(cause)
      for (const { task, attempt } of sends) setbacks.unsent(job, task, attempt, error)
      return []
    }
    const changed = new ManyhandsError('OUTPUT_MISSING', 'what it takes has changed meanwhile')
    for (const { task, attempt } of outdated) setbacks.unsent(job, task, attempt, changed)
    return sends.filter((send) => !outdated.includes(send))
  }

  /** Inputs that other tasks made are where they are: whoever has them is told who may have them. */
  async #supplied(host: HostRecord, job: JobRun, sends: Send[]): Promise<Send[]> {
    const { held, setbacks } = this.#options
    const supply = async (send: Send): Promise<Send | undefined> => {
      const { task, attempt } = send
      const { taken } = task.overrides
      try {
        if (taken !== undefined) {
          attempt.inputs = await held.inputsFor(job, task, taken, host.peerId)
        }
        const { items } = (task.item ?? {}) as Partial<ChunkItem>
        if (task.chunk !== undefined && items !== undefined) {
          const given = attempt.inputs ?? job.document.base.inputs
          attempt.inputs = await job.inputs.withItems(given, items, inputsOwner(task))
        }
        return send
      } catch (cause) {
        const error = toManyhandsError(cause)
        const verdict = error.code === 'OUTPUT_MISSING' ? 'give-up' : 'move'
        setbacks.unsupplied(job, task, attempt, error, verdict)
        return undefined
      } finally {
        job.supplied(task)
      }
    }
    const supplied = await Promise.all(sends.map(supply))
    return supplied.filter((send) => send !== undefined)
  }

  #answered(
    host: HostRecord,
    job: JobRun,
    sends: Send[],
    { answers, offer }: Awaited<ReturnType<ReturnType<HostDirectory['link']>['offer']>>,
  ): void {
    const { directory, setbacks, now } = this.#options
    const open = new Map(sends.map((send) => [send.attempt.id, send]))
    const refused: [Send, ManyhandsError][] = []
    for (const { id, accepted, error } of answers) {
      const send = open.get(id)
      if (send === undefined) continue
      open.delete(id)
      host.answered(id)
      if (accepted) this.#accepted(host, job, send, now())
      else {
        const said = error ?? { code: 'HOST_REFUSED', message: 'refused' }
        refused.push([send, ManyhandsError.fromJSON(said)])
      }
    }
    const silent = new ManyhandsError('HOST_FAILED', `host ${host.peerId} did not answer an offer`)
    for (const send of open.values()) refused.push([send, silent])
    for (const [{ attempt }] of refused) host.letGo(attempt.id)
    // What it says it has free is looked at before its no is.
    if (offer.peerId === host.peerId) directory.offered(offer)
    for (const [{ task, attempt }, error] of refused) {
      const verdict = error === silent ? 'move' : judgeError(error.code)
      setbacks.refused(job, task, attempt, error, verdict)
    }
  }

  #accepted(host: HostRecord, job: JobRun, { task, attempt }: Send, now: number): void {
    attempt.acceptedAt = now
    task.dispatches += 1
    host.accepted()
    const { id, host: at, timeline } = attempt
    const { startedFrom } = timeline
    const more = {
      ...(task.checks ? { check: true as const } : {}),
      ...(startedFrom === undefined ? {} : { startedFrom }),
    }
    job.tell({ kind: 'attempt', task: task.key, attempt: id, host: at, phase: 'offered', ...more })
  }
}

const isWanted = ({ task, attempt }: Send) => !attempt.canceled && !attempt.lost && !task.revoked

/** Whether nothing has become of it yet. */
const isOpen = (send: Send) =>
  isWanted(send) && send.task.phase === 'running' && send.task.attempts.has(send.attempt.id)

/** Whether it takes of other tasks. */
const takes = ({ task }: Send) => task.overrides.taken !== undefined

/** What the journal has to know of a task that is out. */
export function journaled({ task }: Pick<Send, 'task'>) {
  const { key, epoch, dispatches, failures } = task
  // A late result of one that was lost may still win, also when this client was started again.
  const lost = [...task.attempts.values()].filter((attempt) => attempt.lost && !attempt.canceled)
  const open = [...lost.slice(-LOST_KEPT), ...task.running]
  const live = open.map(({ epoch, host, inputs, restore, lost }): TaskRow['live'][number] => {
    if (lost) return [epoch, host, inputs ?? null, restore ?? null, 'lost']
    if (restore !== undefined) return [epoch, host, inputs ?? null, restore]
    return inputs === undefined ? [epoch, host] : [epoch, host, inputs]
  })
  return { key, epoch, dispatches, failures, live }
}

/** A part of a range that was cut for its host. */
function rowOf({ index, key, item }: Task) {
  return { index, key, item: JSON.stringify(item) }
}

function wireAttempt({ task, attempt }: Send): WireAttempt {
  const { taken, ...overrides } = task.overrides
  const { id, epoch, restore } = attempt
  const wire: WireAttempt = { id, task: task.key, epoch, ...overrides }
  if (restore !== undefined) wire.restore = restore
  return attempt.inputs === undefined ? wire : { ...wire, inputs: attempt.inputs }
}
