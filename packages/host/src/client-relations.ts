import { setTimeout as delay } from 'node:timers/promises'
import { type FrameStream, LIMITS, ManyhandsError, type Network, type Offer } from '@manyhands/core'
import type { Attempt } from './attempt.ts'
import type { AttemptRegistry } from './attempt-registry.ts'
import { EventOutbox } from './event-outbox.ts'
import { LeaseKeeper } from './lease-keeper.ts'

/** The shortest and longest heartbeat that a client may propose, ms. */
const HEARTBEAT_MS = { least: 100, usual: 5_000, most: 60_000 }
/** How long a host that goes away waits for clients to fetch what is sealed. */
const FLUSH_TURNS = 250
const FLUSH_TURN_MS = 20

interface ClientRelation {
  lease: LeaseKeeper
  outboxes: Map<string, EventOutbox>
}

export interface ClientRelationsOptions {
  network: Network
  attempts: AttemptRegistry
  orphanMs: number
  offer(): Offer
  /** Nothing of a job is here any more, and its client does not listen. */
  jobForgotten(client: string, job: string): void
}

/**
 * What this host owes to each client: its leases, and the news of its jobs. A relation begins with the
 * first word of a client and is forgotten when nothing is kept for it and it is gone.
 */
export class ClientRelations {
  readonly #options: ClientRelationsOptions
  readonly #clients = new Map<string, ClientRelation>()

  constructor(options: ClientRelationsOptions) {
    this.#options = options
  }

  /** The client is here and proposes a heartbeat; returns the one that holds. */
  greet(client: string, heartbeatMs: number): number {
    const agreed = Math.min(HEARTBEAT_MS.most, Math.max(HEARTBEAT_MS.least, heartbeatMs))
    this.#relation(client).lease.setHeartbeat(agreed)
    return agreed
  }

  /** The client was heard of. */
  touch(client: string): void {
    this.#relation(client).lease.touch()
  }

  outbox(client: string, job: string): EventOutbox {
    const { outboxes } = this.#relation(client)
    let outbox = outboxes.get(job)
    if (outbox === undefined) {
      outbox = new EventOutbox()
      outboxes.set(job, outbox)
    }
    return outbox
  }

  /** Whether the client listens to news of a job. */
  listening(client: string, job: string): boolean {
    return this.#clients.get(client)?.outboxes.get(job)?.listening ?? false
  }

  /** Tells a job's news on a stream until it ends. @throws LIMIT when the client follows too many jobs */
  async tell(client: string, job: string, stream: FrameStream): Promise<void> {
    // A stream may come before the job's first offer, so unknown jobs are let in; but not any number.
    const { outboxes } = this.#relation(client)
    if (!outboxes.has(job) && outboxes.size >= LIMITS.jobsPerClient) {
      throw new ManyhandsError('LIMIT', `client ${client} follows too many jobs`)
    }
    const live = this.#options.attempts.ofClient(client).filter((attempt) => attempt.job === job)
    try {
      await this.outbox(client, job).feed(stream, live)
    } finally {
      this.forgetJob(client, job)
    }
  }

  /** The client has an end durably: nothing of it needs to be told any more. */
  acknowledged(attempt: Attempt): void {
    this.#clients.get(attempt.client)?.outboxes.get(attempt.job)?.acknowledged(attempt.id)
  }

  /** Forgets a job that has nothing left to tell to nobody who listens. */
  forgetJob(client: string, job: string): void {
    const relation = this.#clients.get(client)
    if (relation === undefined || relation.outboxes.get(job)?.listening) return
    if (this.#options.attempts.ofClient(client).some((attempt) => attempt.job === job)) return
    relation.outboxes.delete(job)
    this.#options.jobForgotten(client, job)
    this.forgetClient(client)
  }

  /** Forgets a client for whom nothing is kept and who is not there. */
  forgetClient(client: string): void {
    const relation = this.#clients.get(client)
    if (relation === undefined || this.#options.network.isConnected(client)) return
    if (this.#options.attempts.ofClient(client).length > 0) return
    relation.lease.close()
    for (const outbox of relation.outboxes.values()) outbox.close()
    this.#clients.delete(client)
  }

  forgetAbsent(): void {
    for (const client of [...this.#clients.keys()]) this.forgetClient(client)
  }

  /** Waits a moment until clients that listen have acknowledged what there is to tell. */
  async flush(): Promise<void> {
    const waiting = () =>
      this.#clients
        .values()
        .some(({ outboxes }) => outboxes.values().some((outbox) => outbox.telling))
    await turns(waiting)
  }

  /**
   * Waits a moment until one client has acknowledged what there is to tell. One that is here and does not
   * listen yet is about to: its first attempt may have started a moment ago.
   */
  async flushClient(client: string): Promise<void> {
    const { network } = this.#options
    await turns(
      () =>
        network.isConnected(client) &&
        (this.#clients
          .get(client)
          ?.outboxes.values()
          .some((outbox) => outbox.owing) ??
          false),
    )
  }

  close(): void {
    for (const { lease, outboxes } of this.#clients.values()) {
      lease.close()
      for (const outbox of outboxes.values()) outbox.close()
    }
  }

  #relation(client: string): ClientRelation {
    let relation = this.#clients.get(client)
    if (relation === undefined) {
      relation = { outboxes: new Map(), lease: this.#leaseOf(client) }
      this.#clients.set(client, relation)
    }
    return relation
  }

  #leaseOf(client: string): LeaseKeeper {
    const { attempts, network, orphanMs } = this.#options
    const cancel = (unwanted: Attempt[], by: 'client' | 'host', reason: string) => {
      for (const attempt of unwanted) attempt.intend({ phase: 'canceled', by, reason })
    }
    return new LeaseKeeper({
      heartbeatMs: HEARTBEAT_MS.usual,
      orphanMs,
      live: () => attempts.ofClient(client).filter((attempt) => !attempt.over),
      renew: async (ids, timeoutMs) => {
        const params = { ids, offer: this.#options.offer() }
        return (await network.call(client, 'lease.renew', params, { timeoutMs })).unwanted
      },
      unwanted: (ids) => cancel(attempts.ownedBy(client, ids), 'client', 'no longer wanted'),
      orphaned: (orphans) => cancel(orphans, 'host', 'the client did not come back'),
    })
  }
}

async function turns(waiting: () => boolean): Promise<void> {
  for (let turn = 0; turn < FLUSH_TURNS && waiting(); turn += 1) await delay(FLUSH_TURN_MS)
}
