import {
  type AttemptEnd,
  type AttemptPhase,
  addResources,
  attemptSpecOf,
  type Clock,
  LIMITS,
  ManyhandsError,
  type Offer,
  PROTOCOLS,
  type Resources,
  type RpcParams,
  receiptKey,
  type WireAttempt,
} from '@manyhands/core'
import { InputShelf } from './input-shelf.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { SimulatedHostOptions, SimulateOptions } from './simulate-options.ts'
import { SimulatedAttempt } from './simulated-attempt.ts'
import { answerCheckpoints } from './simulated-checkpoints.ts'
import { SimulatedLeases } from './simulated-leases.ts'
import { SimulatedOutbox } from './simulated-outbox.ts'
import type { SimulatedOutputs } from './simulated-outputs.ts'
import type { SimulatedPeer } from './simulated-peer.ts'
import { type OfferAnswer, refusalOf } from './simulated-refusal.ts'
import { plannedEnd } from './simulated-work.ts'

export interface SimulatedDeskParts {
  peer: SimulatedPeer
  clock: Clock
  seed: Uint8Array
  share: Resources
  options: SimulatedHostOptions
  work: SimulateOptions['work']
  random: SeededRandom
  outputs: SimulatedOutputs
  /** Ends that an earlier life of the host had ready. */
  kept: Iterable<SimulatedAttempt>
  offer(): Offer
  draining(): boolean
  /** What is free has changed. */
  changed(): void
}

/** One life of a simulated host: answers clients as a host does, and lets time pass for what they run. */
export class SimulatedDesk {
  readonly #parts: SimulatedDeskParts
  readonly #key: ReturnType<typeof receiptKey>
  readonly #attempts = new Map<string, SimulatedAttempt>()
  readonly #leases: SimulatedLeases
  readonly #outboxes = new Map<string, SimulatedOutbox>()
  readonly #inputs = new InputShelf()
  /** Attempts so far in this life. */
  #begun = 0
  #reserved: Resources = { cpus: 0, memoryBytes: 0, diskBytes: 0, gpus: 0, pids: 0 }

  constructor(parts: SimulatedDeskParts) {
    this.#parts = parts
    this.#key = receiptKey(parts.seed)
    for (const attempt of parts.kept) {
      this.#attempts.set(attempt.id, attempt)
      if (attempt.over) this.#outbox(attempt).tell(attempt)
      else this.#reserved = addResources(this.#reserved, attempt.spec.resources)
    }
    this.#leases = new SimulatedLeases({
      ...parts,
      live: (client) => this.#liveOf(client),
      unwanted: (client, ids) =>
        this.#cancel(this.#owned(client, ids), 'client', 'no longer wanted'),
      orphaned: (client) =>
        this.#cancel(this.#liveOf(client), 'host', 'the client did not come back'),
    })
    this.#answer(parts.peer)
  }

  get free(): Resources {
    return addResources(this.#parts.share, this.#reserved, -1)
  }

  /** Those that are not over, and ends that were not acknowledged. */
  get attempts(): SimulatedAttempt[] {
    return [...this.#attempts.values()]
  }

  get live(): SimulatedAttempt[] {
    return this.attempts.filter((attempt) => !attempt.over)
  }

  /** The owner takes the computer back from an attempt. */
  evict(attempt: SimulatedAttempt, reason: string): void {
    const error = new ManyhandsError('EVICTED', `evicted by the host: ${reason}`).toJSON()
    this.#ends(attempt, 'evicted', { by: 'host', reason, error })
  }

  /** The host died under it. */
  lose(attempt: SimulatedAttempt): void {
    const error = new ManyhandsError('HOST_LOST', 'the host was restarted under the task')
    this.#ends(attempt, 'lost', { error: error.toJSON() })
  }

  #answer(peer: SimulatedPeer): void {
    const { offer } = this.#parts
    answerCheckpoints(peer)
    peer.handle('hello', async ({ heartbeatMs }, { peer: client }) => ({
      heartbeatMs: this.#leases.of(client).agree(heartbeatMs),
      offer: offer(),
    }))
    peer.handle('offer.get', async () => ({ offer: offer() }))
    peer.handle('offer.list', async () => ({
      offers: [offer(), ...peer.offers()].slice(0, LIMITS.offersPerAnswer),
    }))
    peer.handle('attempt.offer', async (params, { peer: client }) => {
      this.#leases.of(client).touch()
      const answers = params.attempts.map((wire) => this.#offered(params, wire, client))
      this.#parts.changed()
      return { answers, offer: offer() }
    })
    peer.handle('attempt.cancel', async ({ ids, reason }, { peer: client }) => {
      this.#cancel(this.#owned(client, ids), 'client', reason)
      return {}
    })
    peer.handle('attempt.acknowledge', async ({ ids }, { peer: client }) => {
      for (const attempt of this.#owned(client, ids)) if (attempt.over) this.#forget(attempt)
      return {}
    })
    peer.handle('attempt.inventory', async ({ job }, { peer: client }) => ({
      attempts: this.attempts
        .filter((one) => one.client === client && (job === undefined || one.job === job))
        .map(({ id, job, phase }) => ({ id, job, phase })),
    }))
    peer.handle('attempt.share', async ({ parts }, { peer: client }) => {
      const roots: (string | null)[] = []
      for (const { id, path } of parts) {
        const [attempt] = this.#owned(client, [id])
        roots.push(attempt === undefined ? null : await this.#parts.outputs.part(attempt, path))
      }
      return { roots }
    })
    void peer.handleStream(PROTOCOLS.events, async (stream, { peer: client }) => {
      const job = new TextDecoder().decode(await stream.next())
      const live = this.live.filter((one) => one.client === client && one.job === job)
      await this.#outbox({ client, job }).feed(stream, live)
    })
  }

  #offered(params: RpcParams<'attempt.offer'>, wire: WireAttempt, client: string): OfferAnswer {
    const { share, options, random } = this.#parts
    const { resources } = params.spec
    // A repeated offer gets the answer of the first.
    if (this.#attempts.has(wire.id)) return { id: wire.id, accepted: true }
    const error = refusalOf(resources, {
      draining: this.#parts.draining(),
      share,
      free: this.free,
      whim: () => random.chance(options.refuses ?? 0),
    })
    if (error !== undefined) return { id: wire.id, accepted: false, error: error.toJSON() }
    const spec = attemptSpecOf(params.spec, wire)
    const attempt = new SimulatedAttempt({ client, job: params.job, wire, spec })
    this.#attempts.set(wire.id, attempt)
    this.#reserved = addResources(this.#reserved, resources)
    this.#stage(attempt)
    return { id: wire.id, accepted: true }
  }

  /** What is not here yet takes its time, once. */
  #stage(attempt: SimulatedAttempt): void {
    const { peer, clock } = this.#parts
    attempt.move('staging')
    this.#outbox(attempt).tell(attempt)
    const bytes = this.#inputs.missing(attempt.spec.inputs)
    const { latencyMs, bytesPerMs } = peer.link.conditions
    const waitMs = bytes === 0 ? 0 : 2 * latencyMs + bytes / bytesPerMs
    attempt.stop = clock.after(waitMs, () => this.#start(attempt))
  }

  #start(attempt: SimulatedAttempt): void {
    const { clock, options, work, random } = this.#parts
    attempt.move('running')
    attempt.startedAt = clock.now()
    this.#outbox(attempt).tell(attempt)
    const plan = plannedEnd(attempt, options, work, random, this.#begun)
    this.#begun += 1
    if (!Number.isFinite(plan.afterMs)) return
    attempt.stop = clock.after(plan.afterMs, () => {
      const { error, ...said } = plan.end
      const end = { ...attempt.blankEnd(clock.now()), ...said, error: error?.toJSON() }
      if (plan.files !== undefined || attempt.mustWrite)
        void this.#collect(attempt, end, plan.files)
      else this.#exited(attempt, end)
    })
  }

  /** What it wrote is taken, and goes as fast as the host's network. */
  async #collect(attempt: SimulatedAttempt, end: AttemptEnd, files = {}): Promise<void> {
    const { clock, outputs, peer } = this.#parts
    await outputs.seal(attempt, end, files)
    const waitMs = (end.outputs?.bytes ?? 0) / peer.link.conditions.bytesPerMs
    attempt.stop = clock.after(waitMs, () => this.#exited(attempt, end))
  }

  #exited(attempt: SimulatedAttempt, end: AttemptEnd): void {
    if (attempt.over) return
    attempt.move('collecting')
    this.#ends(attempt, end.error === undefined ? 'completed' : 'failed', end)
  }

  #ends(attempt: SimulatedAttempt, phase: AttemptPhase, said: Partial<AttemptEnd>): void {
    if (attempt.over) return
    const { clock, peer, changed } = this.#parts
    attempt.stop()
    const end: AttemptEnd = { ...attempt.blankEnd(clock.now()), ...said }
    attempt.move(phase)
    end.receipt = attempt.receipt(peer.peerId, phase, end, this.#key)
    attempt.end = end
    this.#reserved = addResources(this.#reserved, attempt.spec.resources, -1)
    this.#outbox(attempt).tell(attempt)
    changed()
  }

  #cancel(attempts: SimulatedAttempt[], by: 'client' | 'host', reason: string): void {
    for (const attempt of attempts) {
      if (!attempt.over) this.#ends(attempt, 'canceled', { by, reason })
      // Who ends its own attempt waits for no result.
      if (by === 'client') this.#forget(attempt)
    }
  }

  #forget(attempt: SimulatedAttempt): void {
    const { outputs, checkpoint } = attempt.end ?? {}
    for (const left of [outputs, checkpoint]) {
      if (left !== undefined) void this.#parts.outputs.release(left.root, attempt.id)
    }
    this.#attempts.delete(attempt.id)
    this.#outbox(attempt).acknowledged(attempt.id)
  }

  #liveOf(client: string): SimulatedAttempt[] {
    return this.live.filter((attempt) => attempt.client === client)
  }

  #owned(client: string, ids: string[]): SimulatedAttempt[] {
    const named = new Set(ids)
    return this.attempts.filter((attempt) => attempt.client === client && named.has(attempt.id))
  }

  #outbox({ client, job }: { client: string; job: string }): SimulatedOutbox {
    const key = `${client} ${job}`
    const outbox = this.#outboxes.get(key) ?? new SimulatedOutbox(this.#parts.clock)
    this.#outboxes.set(key, outbox)
    return outbox
  }
}
