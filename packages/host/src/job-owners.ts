import { randomBytes } from 'node:crypto'
import {
  checkJobClaim,
  isLaterClaim,
  LIMITS,
  type Logger,
  ManyhandsError,
  type Network,
  type RpcResult,
  type SignedJobClaim,
} from '@manyhands/core'
import { artifactsOf, requestOf } from './admission-request.ts'
import { clientRefusal, firstBroken, refusalError } from './admission-rules.ts'
import { askOwner } from './ask-owner.ts'
import type { Attempt } from './attempt.ts'
import type { AttemptRegistry } from './attempt-registry.ts'
import { claimedAttempts } from './claimed-attempts.ts'
import type { ClientRelations } from './client-relations.ts'
import type { ImageNames } from './image-names.ts'
import { KeptClaims } from './kept-claims.ts'
import type { OwnerJournal } from './owner-journal.ts'
import type { AdmissionState } from './rules/rule.ts'

/** Jobs that one client is about to claim. */
const CHALLENGES_PER_CLIENT = 16
const NONCE_BYTES = 16

export interface JobOwnersOptions {
  network: Network
  attempts: AttemptRegistry
  relations: ClientRelations
  journal: OwnerJournal
  admission: AdmissionState
  images: ImageNames
  logger: Logger
  changed(attempt: Attempt): void
}

/**
 * Whose a job is. A job belongs to the client that offers it, until another one shows that it has the job's
 * own key: then what is here of it is that one's, and the one before is told so.
 */
export class JobOwners {
  readonly #options: JobOwnersOptions
  /** Public keys of jobs, by client and job. */
  readonly #owners = new Map<string, string>()
  readonly #claims: KeptClaims
  readonly #challenges = new Map<string, Map<string, string>>()

  constructor(options: JobOwnersOptions) {
    this.#options = options
    const { journal, network } = options
    for (const { client, job, owner } of journal.owners()) this.#owners.set(at(client, job), owner)
    this.#claims = new KeptClaims(journal.claims())
    network.addEventListener('peer:disconnect', (event) => {
      this.#challenges.delete((event as CustomEvent<string>).detail)
    })
  }

  open(): void {
    const { network } = this.#options
    network.handle('job.challenge', async ({ owner }, { peer }) => this.#challenge(peer, owner))
    network.handle('job.claim', async (claim, { peer }) => ({
      attempts: await this.#claim(claim, peer),
    }))
  }

  /** Why a client may not offer attempts of a job any more. */
  refusal(client: string, owner: string | undefined): ManyhandsError | undefined {
    const claim = owner === undefined ? undefined : this.#claims.get(owner)
    return claim === undefined || claim.client === client ? undefined : taken(claim)
  }

  /** A client offers a job of which this is the public key. Resolves when that is durable. */
  async note(client: string, job: string, owner: string | undefined): Promise<void> {
    if (owner === undefined || this.#owners.get(at(client, job)) === owner) return
    this.#owners.set(at(client, job), owner)
    await this.#options.journal.noted({ client, job, owner })
  }

  /** Nothing of a job is here any more. */
  forget(client: string, job: string): void {
    if (!this.#owners.delete(at(client, job))) return
    this.#options.journal.forget(client, job).catch((cause) => {
      this.#options.logger.warn('the owner of a job stays', { job, cause: String(cause) })
    })
  }

  /** Who continues a job on another machine may have its inputs from whoever works on it. */
  mayFetch(peer: string, root: string): boolean {
    return this.#options.attempts
      .ofClient(peer)
      .some(({ origin, spec }) => origin !== peer && artifactsOf(spec).includes(root))
  }

  #challenge(peer: string, owner: string) {
    const open = this.#challenges.get(peer) ?? new Map<string, string>()
    this.#challenges.set(peer, open)
    const nonce = randomBytes(NONCE_BYTES).toString('hex')
    open.set(owner, nonce)
    for (const oldest of open.keys()) {
      if (open.size <= CHALLENGES_PER_CLIENT) break
      open.delete(oldest)
    }
    const claim = this.#claims.get(owner)
    return claim === undefined ? { nonce } : { nonce, claim }
  }

  async #claim(signed: SignedJobClaim, peer: string): Promise<RpcResult<'job.claim'>['attempts']> {
    const { network, attempts, journal } = this.#options
    const { job, owner } = signed
    const nonce = this.#challenges.get(peer)?.get(owner)
    this.#challenges.get(peer)?.delete(owner)
    if (nonce === undefined) {
      throw new ManyhandsError('UNAUTHORIZED', `job ${job} is claimed without a challenge`)
    }
    checkJobClaim(signed, { host: network.peerId, client: peer, nonce })
    this.#throwIfOlder(signed)
    const theirs = () =>
      attempts
        .all()
        .filter(
          ({ client, job: its }) => its === job && this.#owners.get(at(client, job)) === owner,
        )
        .toArray()
    await this.#throwIfUnwanted(peer, theirs())
    // The rules may have asked the owner, and somebody else may have come meanwhile.
    this.#throwIfOlder(signed)
    const held = theirs()
    const others = held.filter(({ client }) => client !== peer)
    if (attempts.ofClient(peer).length + others.length > LIMITS.attemptsPerClient) {
      throw new ManyhandsError('LIMIT', `job ${job} has more attempts here than one client may`)
    }
    const before = this.#clientsOf(job, owner, peer)
    const forgotten = this.#claims.keep(signed, new Set(this.#owners.values()))
    // Of a job of which nothing is here, its client says it with its first offer.
    const noted = held.length > 0
    if (noted) this.#owners.set(at(peer, job), owner)
    for (const attempt of others) this.#move(attempt, peer)
    await journal.claimed(signed, { attempts: others, noted, forgotten })
    for (const client of before) this.#tell(client, signed)
    // What was sealed meanwhile has told its end as the new client's.
    return claimedAttempts(held.filter((attempt) => attempts.get(attempt.id) === attempt))
  }

  #throwIfOlder(signed: SignedJobClaim): void {
    const known = this.#claims.get(signed.owner)
    if (known !== undefined && isLaterClaim(known, signed)) throw taken(known)
  }

  /** Who may not use this host may not continue here either. */
  async #throwIfUnwanted(client: string, attempts: Attempt[]): Promise<void> {
    const { admission, images } = this.#options
    const stranger = clientRefusal(client, admission)
    if (stranger !== undefined) throw refusalError(stranger)
    const specs = new Map(
      attempts.filter((attempt) => attempt.client !== client).map(({ spec }) => [spec.image, spec]),
    )
    for (const spec of specs.values()) {
      const request = requestOf(client, spec, await images.of(spec))
      const refusal = firstBroken(request, admission) ?? (await askOwner(request, admission.policy))
      if (refusal !== undefined) throw refusalError(refusal)
    }
  }

  #move(attempt: Attempt, client: string): void {
    const { relations, changed } = this.#options
    relations.acknowledged(attempt)
    attempt.movedTo(client)
    relations.touch(client)
    if (attempt.end !== undefined && attempt.over)
      relations.outbox(client, attempt.job).end(attempt)
    changed(attempt)
  }

  #clientsOf(job: string, owner: string, besides: string): string[] {
    const suffix = ` ${job}`
    return [...this.#owners]
      .filter(([key, its]) => its === owner && key.endsWith(suffix))
      .map(([key]) => key.slice(0, -suffix.length))
      .filter((client) => client !== besides)
  }

  /** One that is not there hears of it when it offers again. */
  #tell(client: string, claim: SignedJobClaim): void {
    const { network, logger } = this.#options
    network.call(client, 'job.taken', claim).catch((cause) => {
      logger.debug('a client was not told that its job is taken', { client, cause: String(cause) })
    })
  }
}

const at = (client: string, job: string) => `${client} ${job}`

function taken(claim: SignedJobClaim): ManyhandsError {
  return new ManyhandsError(
    'JOB_TAKEN',
    `another machine continues job ${claim.job}: client ${claim.client}`,
    { details: { claim } },
  )
}
