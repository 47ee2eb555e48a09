import { setTimeout as delay } from 'node:timers/promises'
import {
  addResources,
  firstShortage,
  LIMITS,
  type Logger,
  type Resources,
  type RuntimeTask,
  timesResources,
} from '@manyhands/core'
import { type AdmissionLedger, NOTHING } from '../admission-ledger.ts'
import type { Attempt } from '../attempt.ts'
import { type WarmSlot, type WarmUse, warmKey } from './warm-slot.ts'

/** How long a host that closes waits for its warm sandboxes; their runtime ends them after that. */
const CLOSING_MS = 5_000

export interface WarmPoolOptions {
  ledger: AdmissionLedger
  /** Whether sandboxes may wait for another task: the host lends, and goes on. */
  lending(): boolean
  /** What is free changed. */
  changed(): void
  logger: Logger
}

/**
 * The warm sandboxes that no task is in. Each holds what its tasks reserve but the disk, until nothing of
 * it runs any more; an attempt of its job takes that over in the same step that reserves for it, and whoever
 * else needs the room has it ended first. So the sum of what is promised never exceeds the share.
 */
export class WarmPool {
  readonly #options: WarmPoolOptions
  /** The one that rests longest first. */
  readonly #resting = new Set<WarmSlot>()
  #closed = false

  constructor(options: WarmPoolOptions) {
    this.#options = options
  }

  /** What whoever asks for it would be given. */
  get held(): Resources {
    return sumOf(this.#resting)
  }

  /**
   * Takes a sandbox of an attempt's job out of its rest, with its reservation, which the caller reserves
   * anew or gives back before anything else happens. One that is ending is taken as well, for its room.
   */
  claim(attempt: WarmUse): WarmSlot | undefined {
    if (attempt.spec.warm === undefined) return undefined
    const key = warmKey(attempt)
    let found: WarmSlot | undefined
    for (const slot of this.#resting) {
      if (slot.key !== key) continue
      // The one that was used last: what it holds is still in the caches.
      if (found === undefined || found.ending || !slot.ending) found = slot
    }
    if (found === undefined) return undefined
    clearTimeout(found.idle)
    this.#resting.delete(found)
    this.#options.ledger.release(found.id)
    return found
  }

  /** The attempt that it was claimed for is not to be: it rests again. */
  giveBack(slot: WarmSlot): void {
    this.#options.ledger.restore(slot.id, slot.reserved, slot.gpuIds)
    this.#resting.add(slot)
    if (slot.ending || !this.#options.lending()) void this.end(slot)
    else this.#wait(slot)
  }

  /**
   * The end of an attempt is durable and its reservation is gone: in the same step its sandbox holds it, for
   * the next task or until it has ended. Anything but success is suspicious.
   */
  rest(attempt: Attempt): void {
    const { warm: slot, runtimeTask, spec } = attempt
    if (slot === undefined) return
    attempt.warm = undefined
    // What the owner changed holds for the attempt, and the next one is to have what it asks for.
    const unchanged = attempt.limits === spec.resources
    const done = slot.tasks >= (spec.warm?.tasksPerSandbox ?? 0)
    const clean = attempt.phase === 'completed' && slot.sandbox.usable && !slot.ending
    if (runtimeTask !== undefined && clean) slot.ready = this.#cleared(slot, runtimeTask)
    slot.reserved = { ...attempt.limits, diskBytes: 0 }
    this.#options.ledger.restore(slot.id, slot.reserved, slot.gpuIds)
    this.#resting.add(slot)
    if (clean && unchanged && !done && this.#options.lending()) this.#wait(slot)
    else void this.end(slot)
  }

  /**
   * Ends others' sandboxes until there is room for so many attempts, or for as many as there can be: the one
   * that rests longest first.
   *
   * @param own - whose sandboxes will be claimed
   */
  async makeRoom(count: number, own: WarmUse): Promise<void> {
    const key = own.spec.warm === undefined ? undefined : warmKey(own)
    const { ledger } = this.#options
    const fits = (attempts: number, free: Resources) =>
      firstShortage(timesResources(own.spec.resources, attempts), free) === undefined
    let attempts = count
    while (attempts > 0 && !fits(attempts, addResources(ledger.free, this.held))) attempts -= 1
    for (;;) {
      const mine = sumOf([...this.#resting].filter((slot) => slot.key === key))
      if (fits(attempts, addResources(ledger.free, mine))) return
      const oldest = [...this.#resting].find((slot) => slot.key !== key)
      if (oldest === undefined) return
      await this.end(oldest)
    }
  }

  /** Ends one that rests; its reservation goes when nothing of it runs any more. */
  async end(slot: WarmSlot): Promise<void> {
    await slot.close()
    // Somebody may have claimed it meanwhile, and with it what it held.
    if (!this.#resting.delete(slot)) return
    this.#options.ledger.release(slot.id)
    this.#options.changed()
  }

  /** Ends all that rest, or those of one client, or of one of its jobs. */
  async endAll(of: { client?: string; job?: string } = {}): Promise<void> {
    const unwanted = [...this.#resting].filter(
      ({ client, job }) => (of.client ?? client) === client && (of.job ?? job) === job,
    )
    await Promise.all(unwanted.map((slot) => this.end(slot)))
  }

  async close(): Promise<void> {
    this.#closed = true
    const waiting = new AbortController()
    const late = delay(CLOSING_MS, undefined, { ref: false, signal: waiting.signal })
    await Promise.race([this.endAll(), late.catch(() => {})])
    waiting.abort()
  }

  #wait(slot: WarmSlot): void {
    if (this.#closed) return void this.end(slot)
    slot.idle = setTimeout(() => void this.end(slot), LIMITS.warmIdleMs).unref()
  }

  async #cleared(slot: WarmSlot, task: RuntimeTask): Promise<void> {
    await task.remove().catch((cause: unknown) => {
      this.#options.logger.warn('a warm sandbox could not be cleared', {
        slot: slot.id,
        cause: String(cause),
      })
    })
  }
}

function sumOf(slots: Iterable<WarmSlot>): Resources {
  let sum = NOTHING
  for (const { reserved } of slots) sum = addResources(sum, reserved)
  return sum
}
