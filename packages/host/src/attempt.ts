import {
  type AnnouncedCheckpoint,
  type AttemptEnd,
  type AttemptPhase,
  type AttemptSpec,
  assertTransition,
  type EncodedDocument,
  isTerminal,
  LIMITS,
  NO_USAGE,
  type Resources,
  type RuntimeOutput,
  type RuntimeTask,
  TransferMeter,
  type TransferProgress,
  type Usage,
} from '@manyhands/core'
import { AttemptCheckpoints } from './checkpoints/attempt-checkpoints.ts'
import type { HostAttempt } from './host.ts'
import { StreamedOutputs } from './streamed-outputs.ts'
import { TailBuffer } from './tail-buffer.ts'
import { UsageHistory } from './usage-history.ts'
import type { WarmSlot } from './warm/warm-slot.ts'

/** Who wants an attempt to end before its time, decided once: the first word holds. */
export interface EndIntent {
  phase: 'evicted' | 'canceled'
  by: 'host' | 'client'
  reason: string
}

/** Who may hold an attempt paused; it goes on when nobody does any more. */
export type PauseHolder = 'owner' | 'schedule'

export interface AttemptIdentity {
  id: string
  client: string
  /** Who offered it; default: its client. */
  origin?: string
  job: string
  jobName: string
  task: string
  spec: AttemptSpec
  /** What its client wants in the receipt; without, there is none. */
  nonce?: string
  /** Whether its client reads proofs; after a restart nobody knows, and receipts are read by all. */
  proofs?: boolean
  /** Default: what the spec asks for. */
  limits?: Resources
  gpuIds?: string[]
  imageNames?: readonly string[]
  pauses?: Iterable<readonly [PauseHolder, string]>
  /** The newest that an earlier life of this host made of it. */
  checkpoint?: AnnouncedCheckpoint | undefined
}

/** One attempt on this host: its identity, phase and what was measured. It decides nothing. */
export class Attempt {
  readonly id: string
  /** The client that offered it, and with which its receipt is made out. */
  readonly origin: string
  readonly job: string
  readonly jobName: string
  readonly task: string
  readonly spec: AttemptSpec
  readonly nonce: string | undefined
  readonly proofs: boolean
  readonly acceptedAt = performance.now()
  readonly since = new Date()
  /** Aborted when an end intent is set: whatever is under way stops. */
  readonly ending = new AbortController()
  readonly stdout = new TailBuffer(LIMITS.outputTailBytes)
  readonly stderr = new TailBuffer(LIMITS.outputTailBytes)
  /** Bytes written so far, those that were lost on the way included. */
  readonly written = { stdout: 0, stderr: 0 }
  /** Outputs that were taken while it runs. */
  readonly streamed = new StreamedOutputs()
  readonly checkpoints: AttemptCheckpoints
  readonly history = new UsageHistory()
  readonly gpuIds: readonly string[]
  /** Who holds it paused, and why; the latest last. */
  readonly pauses: Map<PauseHolder, string>
  limits: Resources
  usage: Usage = NO_USAGE
  /** What this host's engine calls its image, when that is named by its id. */
  imageNames: readonly string[] | undefined
  /** What its image takes, bytes, when the client brings it; first what it says, then what is true. */
  imageBytes: number | undefined
  /** Bytes that came for it; of attempts that share a transfer, one counts them. */
  bytesIn = 0
  /** Says how far what it waits for is, while it is staged; then how far its client has its outputs. */
  transfer: (() => TransferProgress) | undefined
  /** How long the sandbox exists, as the runtime said with the last sample. */
  sandboxMs = 0
  /** The warm sandbox that it is in, or that was claimed for it; its reservation is this attempt's meanwhile. */
  warm: WarmSlot | undefined
  /** Set while the sandbox exists. */
  runtimeTask: RuntimeTask | undefined
  startedAt: number | undefined
  /** Its runtime has made nothing for it on the disk, so that there is nothing to remove. */
  leftNothing = false
  /** When its end was sealed, monotonic ms. */
  endedAt: number | undefined
  end: AttemptEnd | undefined
  /** Its end as it is in the journal and goes to the client. */
  sealedEnd: EncodedDocument | undefined
  /** Settles when nothing of it runs any more and its end is sealed. */
  readonly done = Promise.withResolvers<void>()
  #client: string
  #phase: AttemptPhase
  #intent: EndIntent | undefined
  #seq = 0
  #ranMs = 0
  #handed: TransferMeter | undefined
  #handedBytes = 0
  #runningSince: number | undefined

  constructor(identity: AttemptIdentity, phase: AttemptPhase = 'offered') {
    this.id = identity.id
    this.#client = identity.client
    this.origin = identity.origin ?? identity.client
    this.job = identity.job
    this.jobName = identity.jobName
    this.task = identity.task
    this.spec = identity.spec
    this.nonce = identity.nonce
    this.proofs = identity.proofs ?? false
    this.limits = identity.limits ?? identity.spec.resources
    this.gpuIds = identity.gpuIds ?? []
    this.imageNames = identity.imageNames
    const owned = (identity.imageNames?.length ?? 0) > 0
    this.imageBytes = owned ? undefined : identity.spec.offeredImage?.bytes
    this.pauses = new Map(identity.pauses)
    this.checkpoints = new AttemptCheckpoints(identity.checkpoint)
    this.#phase = phase
  }

  /** Whose it is now. */
  get client(): string {
    return this.#client
  }

  /** Its job goes on at another client. */
  movedTo(client: string): void {
    this.#client = client
    this.checkpoints.forgotten()
  }

  get phase(): AttemptPhase {
    return this.#phase
  }

  get intent(): EndIntent | undefined {
    return this.#intent
  }

  get over(): boolean {
    return isTerminal(this.#phase)
  }

  nextSeq(): number {
    this.#seq += 1
    return this.#seq
  }

  /** @throws INTERNAL for a step that the table of phases does not have */
  move(to: AttemptPhase): void {
    assertTransition('attempt', this.#phase, to, this.id)
    this.#ranMs = this.runMs
    this.#runningSince = to === 'running' ? performance.now() : undefined
    this.#phase = to
  }

  /** Records who ends it; returns false when that was decided before. */
  intend(intent: EndIntent): boolean {
    if (this.#intent !== undefined || this.over) return false
    this.#intent = intent
    this.ending.abort()
    return true
  }

  /** It wrote something. */
  wrote({ stream, bytes, gap = 0 }: RuntimeOutput): void {
    this[stream].push(bytes)
    this.written[stream] += gap + bytes.length
  }

  /** Milliseconds in the sandbox, without those in which it was paused. */
  get runMs(): number {
    const since = this.#runningSince
    return this.#ranMs + (since === undefined ? 0 : performance.now() - since)
  }

  /** Bytes of its outputs went to its client. */
  handedOver(bytes: number): void {
    const { outputs } = this.end ?? {}
    if (outputs === undefined) return
    this.#handed ??= new TransferMeter('outputs', [[outputs.root, outputs.bytes]])
    this.transfer = () => this.#handed!.progress()
    this.#handedBytes += bytes
    this.#handed.progressed(outputs.root, this.#handedBytes)
  }

  /** It ran in an earlier life of this host. */
  ranBefore(ms: number): void {
    this.#ranMs += ms
  }

  /** Why it stands still; undefined when it does not. */
  get pauseReason(): string | undefined {
    return this.#phase === 'paused' ? [...this.pauses.values()].at(-1) : undefined
  }

  /** What the journal keeps of it while it is not over. */
  get state() {
    const { id, limits, intent } = this
    return { id, limits, gpuIds: [...this.gpuIds], pauses: [...this.pauses], intent }
  }

  describe(): HostAttempt {
    const reason = this.end?.reason ?? this.#intent?.reason ?? this.pauseReason
    const transfer = this.transfer?.()
    const { offeredImage } = this.spec
    return {
      id: this.id,
      client: this.client,
      job: this.job,
      jobName: this.jobName,
      task: this.task,
      runtime: this.spec.runtime,
      image: this.imageNames?.[0] ?? this.spec.image,
      ...(offeredImage === undefined ? {} : { imageName: offeredImage.name }),
      phase: this.#phase,
      sinceMs: Math.round(performance.now() - this.acceptedAt),
      since: this.since.toISOString(),
      usage: this.usage,
      limits: this.limits,
      gpuIds: [...this.gpuIds],
      ...(reason === undefined ? {} : { reason }),
      ...(transfer === undefined ? {} : { transfer }),
    }
  }
}
