import { hash, hkdfSync } from 'node:crypto'
import { createIdentity, isLaterClaim, publicKeyOf, type SignedJobClaim } from '@manyhands/core'
import { AttemptNonces } from './attempt-nonces.ts'
import type { ClientJournal } from './journal/client-journal.ts'
import type { Ownership } from './journal/ownership-rows.ts'

/** Public keys that are at hand: of the jobs that run. */
const REMEMBERED = 1024
/** Attempts of a task by one owner: those of the next one have higher numbers. */
const EPOCHS_PER_OWNER = 1_000_000
/** Where in those an owner's own begin, and how far apart: the last one leaves 200,000. */
const PLACES = 400
const PLACE = 2_000

/**
 * The keys of jobs: each has one of its own, with which another machine may continue it, and one from which
 * follows what hosts have to repeat in their receipts. They follow from this client's key, so that a client
 * that was started again knows them, until the job came from elsewhere: then they came with it.
 */
export class JobKeys {
  readonly #client: string
  readonly #seed: Uint8Array
  readonly #journal: Pick<ClientJournal, 'ownership' | 'transact'>
  readonly #ownerships = new Map<string, Ownership>()
  readonly #public = new Map<string, string>()
  readonly #nonces = new Map<string, AttemptNonces>()

  /** @param seed - the private key of this peer */
  constructor(
    client: string,
    seed: Uint8Array,
    journal: Pick<ClientJournal, 'ownership' | 'transact'>,
  ) {
    this.#client = client
    this.#seed = seed
    this.#journal = journal
  }

  /** Whose a job is. */
  of(job: string): Ownership {
    let known = this.#ownerships.get(job)
    if (known !== undefined) return known
    known = this.#journal.ownership.of(job) ?? {
      seed: this.#derived('manyhands/job-owner/1', job),
      nonceKey: this.#derived('manyhands/nonce/2', job),
      epoch: 0,
      owners: [],
      shared: false,
    }
    this.#ownerships.set(job, known)
    forgetOldest(this.#ownerships)
    return known
  }

  /** Keys of a job that is on its way into the journal. */
  borrow(job: string, ownership: Ownership): void {
    this.forget(job)
    this.#ownerships.set(job, ownership)
  }

  /** What is remembered of a job is read again. */
  forget(job: string): void {
    this.#ownerships.delete(job)
    this.#public.delete(job)
    this.#nonces.delete(job)
  }

  /** Resolves when it is durable. */
  async change(job: string, change: Partial<Ownership>): Promise<void> {
    const changed = { ...this.of(job), ...change }
    // First in memory: one that comes meanwhile adds to it.
    this.#ownerships.delete(job)
    this.#ownerships.set(job, changed)
    await this.#journal.transact(() => this.#journal.ownership.put(job, changed))
  }

  /** What hosts know a job by: its public key, written as a peer id. */
  publicKey(job: string): string {
    let known = this.#public.get(job)
    if (known === undefined) {
      known = createIdentity(Buffer.from(this.of(job).seed, 'hex')).peerId
      this.#public.set(job, known)
      forgetOldest(this.#public)
    }
    return known
  }

  /**
   * What a host has to repeat in its receipt of an attempt: another number for each attempt at each host,
   * that nobody else can foretell. Hexadecimal, 16 bytes.
   */
  nonce(job: string, host: string, attempt: string): string {
    let nonces = this.#nonces.get(job)
    if (nonces === undefined) {
      nonces = new AttemptNonces(Buffer.from(this.of(job).nonceKey, 'hex'))
      this.#nonces.set(job, nonces)
      forgetOldest(this.#nonces)
    }
    return nonces.of(host, attempt)
  }

  /** The client that has offered an attempt, by the attempt's number. */
  clientOf(job: string, epoch: number): string {
    const ownership = this.of(job)
    const at = Math.floor(epoch / EPOCHS_PER_OWNER)
    if (at === ownership.epoch) return this.#client
    return ownership.owners.find(([owned]) => owned === at)?.[1] ?? this.#client
  }

  /**
   * Whether an attempt of this number may have been offered by this client: by an earlier owner, who is no
   * other than is known, or by this one. Two that claimed a job equally often take nothing from each other.
   */
  mayBeOf(job: string, epoch: number, client: string): boolean {
    const { owners, epoch: now } = this.of(job)
    const at = Math.floor(epoch / EPOCHS_PER_OWNER)
    if (at === now) return client === this.#client
    if (!(at >= 0 && at < now) || publicKeyOf(client) === undefined) return false
    return owners.every(([owned, known]) => owned !== at || known === client)
  }

  /** A client has offered an attempt of this number that is taken over. Resolves when it is durable. */
  async learn(job: string, epoch: number, client: string): Promise<void> {
    if (!this.mayBeOf(job, epoch, client)) return
    const { owners, epoch: now } = this.of(job)
    const at = Math.floor(epoch / EPOCHS_PER_OWNER)
    if (at === now || owners.some(([owned]) => owned === at)) return
    await this.change(job, { owners: [...owners, [at, client]] })
  }

  /** All attempts of this client at a job have higher numbers than this. */
  lastEpochBefore(job: string): number {
    const { epoch } = this.of(job)
    if (epoch === 0) return 0
    // Another one may have claimed it equally often: each has its place.
    const place = hash('sha256', this.#client, 'buffer').readUInt32BE() % PLACES
    return epoch * EPOCHS_PER_OWNER + place * PLACE
  }

  /** Whether a claim holds against this client's own. */
  isNewer(claim: SignedJobClaim): boolean {
    if (claim.client === this.#client) return false
    return isLaterClaim(claim, { epoch: this.of(claim.job).epoch, client: this.#client })
  }

  #derived(purpose: string, job: string): string {
    const key = new Uint8Array(hkdfSync('sha256', this.#seed, job, purpose, 32))
    return Buffer.from(key).toString('hex')
  }
}

function forgetOldest(map: Map<string, unknown>): void {
  for (const oldest of map.keys()) {
    if (map.size <= REMEMBERED) break
    map.delete(oldest)
  }
}
