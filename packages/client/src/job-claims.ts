import {
  type Clock,
  checkJobClaim,
  type ErrorCode,
  type JobClaim,
  type Logger,
  ManyhandsError,
  type Network,
  type RpcResult,
  receiptKey,
  type SignedJobClaim,
  signedJobClaimSchema,
  signJobClaim,
  toManyhandsError,
} from '@manyhands/core'
import type { HeldResults } from './held-results.ts'
import type { HostDirectory } from './host-directory.ts'
import type { JobKeys } from './job-keys.ts'
import type { JobRun } from './job-run.ts'
import type { ClientJournal } from './journal/client-journal.ts'
import type { KeptEnds } from './kept-ends.ts'
import type { Scheduler } from './scheduler.ts'

type Claimed = RpcResult<'job.claim'>['attempts'][number]

/** When a claim is repeated that has no answer, ms: at first, and at most. */
const AGAIN_MS = 250
const MOST_AGAIN_MS = 30_000

/** After these the host may have the claim, or this client may not have what it answered. */
const UNANSWERED: ReadonlySet<ErrorCode> = new Set([
  'CONNECT_FAILED',
  'PEER_GONE',
  'TIMEOUT',
  'DISK_FULL',
])

export interface JobClaimsOptions {
  network: Network
  journal: ClientJournal
  directory: HostDirectory
  keys: JobKeys
  held: HeldResults
  kept: KeptEnds
  scheduler: Scheduler
  clock: Clock
  logger: Logger
}

/**
 * Jobs that change hands. This client claims those that it continues for others at every host that it
 * meets, and takes over what that has of them; and it ends its part of those that another one continues.
 */
export class JobClaims {
  readonly #options: JobClaimsOptions
  /** Claims that are under way, by host and job. */
  readonly #claiming = new Set<string>()
  /** Claims that a host may have heard although its answer is not here; what ends the expectation. */
  readonly #unanswered = new Map<string, () => void>()

  constructor(options: JobClaimsOptions) {
    this.#options = options
    const { network, scheduler } = options
    network.handle('job.taken', async (claim, { peer }) => {
      await this.taken(scheduler.jobs.get(claim.job), peer, claim)
      return {}
    })
  }

  /**
   * A host says that another client continues a job. A host alone cannot end anybody's part in a job: the
   * job's own key has to have signed it.
   *
   * @returns whether that is so
   */
  async taken(job: JobRun | undefined, host: string, said: unknown): Promise<boolean> {
    if (job === undefined) return false
    const { keys, logger } = this.#options
    const parsed = signedJobClaimSchema.safeParse(said)
    if (!parsed.success || !keys.isNewer(parsed.data)) return job.fenced !== undefined
    try {
      const { id } = job
      checkJobClaim(parsed.data, { job: id, owner: keys.publicKey(id), host })
    } catch (cause) {
      logger.warn('a host says that a job was taken, without proof', { host, cause: String(cause) })
      return false
    }
    // First in memory: from here on nothing of it is accepted or acknowledged.
    job.ending.fence(takenError(parsed.data))
    await keys.change(job.id, { taken: parsed.data })
    return true
  }

  /**
   * How often a job was claimed at a host, as far as the host can show it.
   *
   * @throws UNAUTHORIZED when what it shows was not signed by the key of the job, for this host
   */
  async epochAt(host: string, job: string): Promise<number> {
    const { network, keys } = this.#options
    const owner = keys.publicKey(job)
    const { claim } = await network.call(host, 'job.challenge', { owner })
    return claim === undefined ? 0 : checkJobClaim(claim, { job, owner, host }).epoch
  }

  /** A host is here: what it has of jobs that came from elsewhere is taken over. */
  met(host: string): void {
    const { scheduler, keys } = this.#options
    for (const job of scheduler.jobs.values()) {
      if (job.over || job.fenced !== undefined || keys.of(job.id).epoch === 0) continue
      this.insist(host, job)
    }
  }

  /**
   * Claims a job at a host until that has answered, while it is there; when it comes again that goes on. The
   * host may have moved what it has: until its answer is here, nothing that it names is unwanted.
   */
  insist(host: string, job: JobRun): void {
    const key = `${host} ${job.id}`
    if (this.#claiming.has(key)) return
    this.#claiming.add(key)
    if (!this.#unanswered.has(key)) {
      this.#unanswered.set(key, this.#options.scheduler.leases.expect(host))
      const over = () => this.#answered(key)
      void Promise.race([job.ended.promise, job.left.promise]).then(over, over)
    }
    void this.#untilAnswered(host, job)
      .then((answered) => {
        if (answered) this.#answered(key)
      })
      .finally(() => this.#claiming.delete(key))
  }

  #answered(key: string): void {
    this.#unanswered.get(key)?.()
    this.#unanswered.delete(key)
  }

  /** Does not reject. */
  async #untilAnswered(host: string, job: JobRun): Promise<boolean> {
    const { network, scheduler, clock, logger } = this.#options
    for (let waitMs = AGAIN_MS; ; waitMs = Math.min(2 * waitMs, MOST_AGAIN_MS)) {
      try {
        await this.claim(host, job)
        return true
      } catch (cause) {
        logger.debug('a job was not claimed', { host, job: job.id, cause: String(cause) })
        if (!isUnanswered(toManyhandsError(cause))) return true
      }
      await clock.delay(waitMs)
      if (job.over || job.fenced !== undefined || scheduler.jobs.get(job.id) !== job) return true
      if (!network.isConnected(host)) return false
    }
  }

  /**
   * Claims a job at a host, and takes over what that has of it.
   *
   * @throws JOB_TAKEN when somebody has claimed it later, as the host shows, HOST_REFUSED when the host does not take this client
   */
  async claim(host: string, job: JobRun): Promise<void> {
    const { network, keys, scheduler } = this.#options
    const { seed, epoch } = keys.of(job.id)
    const owner = keys.publicKey(job.id)
    // Renewals may come before the answer.
    const settled = scheduler.leases.expect(host)
    try {
      const { nonce } = await network.call(host, 'job.challenge', { owner })
      const claim: JobClaim = {
        ...{ v: 1, job: job.id, owner, epoch, host, client: network.peerId, nonce },
      }
      const signed = signJobClaim(claim, receiptKey(Buffer.from(seed, 'hex')))
      const { attempts } = await network.call(host, 'job.claim', signed)
      const sound = attempts.filter(({ id, client }) => keys.mayBeOf(job.id, epochOf(id), client))
      const learned: Promise<void>[] = []
      await scheduler.leases.adopt(job, host, sound, ({ id, client }) => {
        const known = keys.learn(job.id, epochOf(id), client)
        // Also where adopting fails before anybody waits for it.
        known.catch(() => {})
        learned.push(known)
      })
      await Promise.all(learned)
      await this.#keepResults(job, host, attempts)
      await this.#fetchInputs(job, host)
    } catch (cause) {
      const error = toManyhandsError(cause)
      if (error.code !== 'JOB_TAKEN' || (await this.taken(job, host, error.details?.['claim']))) {
        throw error
      }
      const what = `host ${host} says that job ${job.id} was taken, and does not show it`
      throw new ManyhandsError('HOST_REFUSED', what, { cause })
    } finally {
      settled()
    }
  }

  /** What an earlier owner had accepted, and this client does not have: its host has it. */
  async #keepResults(job: JobRun, host: string, attempts: Claimed[]): Promise<void> {
    const { journal, held, kept } = this.#options
    for (const { id, task, phase } of attempts) {
      if (phase !== 'completed') continue
      const row = journal.results.of(job.id, task)
      if (row === undefined || row.held?.attempt === id) continue
      kept.keep(job.id, host, id)
      await held.foundAt(job, row, { host, attempt: id })
    }
  }

  async #fetchInputs(job: JobRun, host: string): Promise<void> {
    const { network, logger } = this.#options
    for (const root of job.inputs.awaited.keys()) {
      await job.inputs.fetchAwaited(root, { network, peer: host }).catch((cause) => {
        logger.debug('an input is not at a host', { host, root, cause: String(cause) })
      })
    }
  }
}

/** Whether a claim has to be made again. */
export const isUnanswered = ({ code }: ManyhandsError) => UNANSWERED.has(code)

/** What the one before hears. */
export function takenError({ job, client }: SignedJobClaim): ManyhandsError {
  return new ManyhandsError('JOB_TAKEN', `another machine continues job ${job}: client ${client}`)
}

const epochOf = (attempt: string) => Number(attempt.slice(attempt.lastIndexOf('.') + 1))
