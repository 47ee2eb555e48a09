import { type Clock, ManyhandsError, type Network } from '@manyhands/core'
import type { Lane } from './fair-turns.ts'
import type { HeldResults } from './held-results.ts'
import type { HostDirectory } from './host-directory.ts'
import type { HostRecord } from './host-record.ts'
import type { JobRun } from './job-run.ts'
import type { KeptEnds } from './kept-ends.ts'
import { mayWork, passingRefusal, standingRefusal } from './placement.ts'

/** Hosts that are all busy are asked again after this time, ms. */
const ASK_AGAIN_MS = 1_000
/** An image that nobody has may still be on a host that is only just connecting, ms. */
const NO_IMAGE_GRACE_MS = 1_000

export interface JobStallsOptions {
  network: Network
  directory: HostDirectory
  held: HeldResults
  kept: KeptEnds
  clock: Clock
}

/** Jobs for which there is nobody: what can be done about it, and when they are given up. */
export class JobStalls {
  readonly #options: JobStallsOptions
  #askedAt = Number.NEGATIVE_INFINITY

  constructor(options: JobStallsOptions) {
    this.#options = options
  }

  /** After a pass: what the job got is sent out. @param jobs - all that are not over, by id */
  look(lane: Lane, jobs: ReadonlyMap<string, JobRun>): void {
    const { job, candidates } = lane
    const { idle } = job
    const stalled = idle && (!candidates.some(mayWork) || lane.isUnvouched)
    job.stalledSince = stalled ? (job.stalledSince ?? this.#options.clock.now()) : undefined
    const waiting = (job.tasks.cutting?.waiting ?? 0) + (job.checking?.replicas.ready.length ?? 0)
    if (job.tasks.ready.length === 0 && waiting === 0) return
    this.#askBusy(candidates)
    if (!idle) return
    const { resources } = job.document.base
    // Results that wait there for others to take them must not keep out those that would.
    for (const host of candidates) {
      if (host.free.diskBytes >= resources.diskBytes) continue
      this.#options.kept.releaseAt(host.peerId)
      this.#options.held.evacuate(host.peerId, jobs)
    }
  }

  /** A job for which no host fits waits as long as it was told to; an image that nobody has is told soon. */
  hopeless(job: JobRun, now: number): ManyhandsError | undefined {
    if (job.stalledSince === undefined) return undefined
    const waitedMs = now - job.stalledSince
    const noImage = [...job.excluded.values()].find(({ code }) => code === 'IMAGE_NOT_FOUND')
    if (noImage !== undefined && waitedMs > NO_IMAGE_GRACE_MS) {
      return ManyhandsError.fromJSON(noImage)
    }
    const { waitMs } = job.document
    return waitMs !== undefined && waitedMs > waitMs ? this.#noHosts(job) : undefined
  }

  #noHosts(job: JobRun): ManyhandsError {
    const seen = this.#options.directory.records()
    const reasons = seen
      .slice(0, 5)
      .map(
        (host) =>
          `${host.peerId.slice(-8)}: ${standingRefusal(job, host) ?? passingRefusal(job, host) ?? whyNoJudge(job, host)}`,
      )
    return new ManyhandsError(
      'NO_HOSTS',
      seen.length === 0
        ? 'no host was found'
        : `none of the ${seen.length} hosts seen takes this job (${reasons.join('; ')})`,
      { details: { seen: seen.length } },
    )
  }

  /** When only busy hosts are left, their word may be old: somebody else's work may have ended. */
  #askBusy(candidates: HostRecord[]): void {
    const now = this.#options.clock.now()
    if (now - this.#askedAt < ASK_AGAIN_MS) return
    this.#askedAt = now
    for (const host of candidates) {
      if (host.inFlight.size > 0 || !host.connected) continue
      void this.#options.network
        .call(host.peerId, 'offer.get', {})
        .then(({ offer }) => {
          if (offer.peerId === host.peerId) this.#options.directory.offered(offer)
        })
        .catch(() => {
          // A host that is gone is noticed by its connection.
        })
    }
  }
}

/** Why a host checks nothing of a job that has nothing else to do. */
function whyNoJudge({ checking }: JobRun, { peerId }: HostRecord): string {
  const [task] = checking?.replicas.ready ?? []
  const why = task === undefined ? undefined : checking?.whyNot(task.key, peerId)
  return why ?? 'not connected'
}
