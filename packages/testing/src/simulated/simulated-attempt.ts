import { createHash, type KeyObject } from 'node:crypto'
import {
  type AttemptEnd,
  type AttemptPhase,
  type AttemptSpec,
  assertTransition,
  isTerminal,
  NO_USAGE,
  pinnedImage,
  receiptOf,
  type SignedReceipt,
  signReceipt,
  type WireAttempt,
} from '@manyhands/core'

/** An attempt at a simulated host. */
export class SimulatedAttempt {
  readonly id: string
  readonly client: string
  readonly job: string
  readonly task: string
  readonly epoch: number
  readonly nonce: string | undefined
  readonly spec: AttemptSpec
  end: AttemptEnd | undefined
  startedAt: number | undefined
  /** Calls off what is to happen to it next. */
  stop: () => void = () => {}
  #phase: AttemptPhase = 'offered'
  #seq = 0

  constructor(of: { client: string; job: string; wire: WireAttempt; spec: AttemptSpec }) {
    const { client, job, wire, spec } = of
    this.id = wire.id
    this.client = client
    this.job = job
    this.task = wire.task
    this.epoch = wire.epoch
    this.nonce = wire.nonce
    this.spec = spec
  }

  get phase(): AttemptPhase {
    return this.#phase
  }

  get over(): boolean {
    return isTerminal(this.#phase)
  }

  /** @throws INTERNAL for a step that the table of phases does not have */
  move(to: AttemptPhase): void {
    assertTransition('attempt', this.#phase, to, this.id)
    this.#phase = to
  }

  nextSeq(): number {
    this.#seq += 1
    return this.#seq
  }

  /** Whether it is no success without files. */
  get mustWrite(): boolean {
    return this.spec.outputs.some((glob) => glob !== '/out/**')
  }

  /** Its host signs for its end; undefined for a client that wants none. */
  receipt(
    host: string,
    phase: AttemptPhase,
    end: AttemptEnd,
    key: KeyObject,
  ): SignedReceipt | undefined {
    const { id, client, job, task, nonce, spec } = this
    if (nonce === undefined) return undefined
    const subject = { client, host, job, task, attempt: id, nonce, spec }
    return signReceipt(receiptOf(subject, phase, end, this.#ranImage), key)
  }

  /** An end of which nothing is said yet but how long it took. */
  blankEnd(now: number): AttemptEnd {
    const durationMs = this.startedAt === undefined ? 0 : Math.round(now - this.startedAt)
    const { cpus } = this.spec.resources
    return {
      oom: false,
      timedOut: false,
      durationMs,
      usage: { ...NO_USAGE, elapsedMs: durationMs, cpuMs: Math.round(durationMs * cpus) },
      stdoutTail: new Uint8Array(),
      stderrTail: new Uint8Array(),
    }
  }

  /** What its host's engine would call the image, once it has run. */
  get #ranImage(): string | undefined {
    if (this.startedAt === undefined) return undefined
    const named = createHash('sha256').update(this.spec.image).digest('hex')
    return pinnedImage(this.spec) ?? `sha256:${named}`
  }
}
