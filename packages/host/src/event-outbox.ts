import {
  type AttemptEnd,
  type AttemptEvent,
  type EncodedDocument,
  encodeDocument,
  type FrameStream,
  isTerminal,
  LIMITS,
  type RuntimeOutput,
  type StreamedOutput,
} from '@manyhands/core'
import type { Attempt } from './attempt.ts'

/** Bytes of events in one frame; an event with two full tails is about 33 KiB. */
const FRAME_BYTES = 256 * 1024
/** About what a receipt takes in it. */
const RECEIPT_BYTES = 1024
/** Bytes of a task's output that wait for a slow client; older ones are dropped, and that is told. */
const PENDING_OUTPUT_BYTES = 32 * 1024
/**
 * Output is told at once after a quiet moment, and then as often as people can read: a frame for each
 * line of a task that writes thousands a second would cost its host and its client more than the task.
 */
const OUTPUT_PAUSE_MS = 100
/** So long a phase waits for the next one, or for the end: a short task is told of once. */
const PHASE_PAUSE_MS = 10

/**
 * What the client of one job has not been told yet. Progress is merged per attempt, so that a slow
 * client costs bounded memory; ends are kept until they are acknowledged and told again on every new
 * stream.
 */
export class EventOutbox {
  readonly #ends = new Map<string, AttemptEvent>()
  /** Ends as they were encoded for the journal. */
  readonly #encoded = new WeakMap<AttemptEnd, EncodedDocument>()
  #pending = new Map<string, AttemptEvent>()
  /** Files that were not told of yet, by attempt and path: the latest of each. */
  readonly #outputs = new Map<string, Map<string, StreamedOutput>>()
  #stream: FrameStream | undefined
  #wake: (() => void) | undefined
  #due = false
  #toldAt = Number.NEGATIVE_INFINITY
  #pause: NodeJS.Timeout | undefined
  /** When the pause is over, monotonic ms. */
  #dueAt = 0

  /** Whether somebody listens now. */
  get listening(): boolean {
    return this.#stream !== undefined
  }

  /** Whether somebody listens and has not acknowledged everything. */
  get telling(): boolean {
    return this.listening && this.owing
  }

  /** Whether there is an end that was not acknowledged, whoever listens. */
  get owing(): boolean {
    return this.#ends.size > 0
  }

  /**
   * Says what an attempt is doing now; of phase and usage the latest holds. Output, which the attempt has
   * counted already, is added to what waits.
   */
  progress(attempt: Attempt, output?: RuntimeOutput): void {
    const before = this.#pending.get(attempt.id)
    const event: AttemptEvent = {
      attempt: attempt.id,
      seq: attempt.nextSeq(),
      phase: attempt.phase,
      reason: attempt.pauseReason,
      usage: attempt.usage,
      bytesIn: attempt.bytesIn === 0 ? undefined : attempt.bytesIn,
      transfer: attempt.transfer?.(),
      checkpoint: attempt.checkpoints.pending,
      stdout: before?.stdout,
      stderr: before?.stderr,
      stdoutAt: before?.stdoutAt,
      stderrAt: before?.stderrAt,
    }
    if (output !== undefined) {
      const { stream, bytes, gap } = output
      // What waits from before a gap would have no place in one piece with what came after it.
      const whole = append(gap ? undefined : before?.[stream], bytes)
      event[stream] = whole
      event[`${stream}At`] = attempt.written[stream] - whole.length
    }
    this.#pending.set(attempt.id, event)
    const waiting = output === undefined ? 0 : event[output.stream]!.length
    if (output === undefined) this.#rouseIn(PHASE_PAUSE_MS)
    else if (waiting > PENDING_OUTPUT_BYTES / 2) this.#rouse()
    else this.#rouseSoon()
  }

  /** Tells of a file that is complete. The newest of a path holds. */
  output(attempt: Attempt, file: StreamedOutput): void {
    const waiting = this.#outputs.get(attempt.id) ?? new Map<string, StreamedOutput>()
    waiting.set(file.path, file)
    this.#outputs.set(attempt.id, waiting)
    this.progress(attempt)
  }

  /** Announces a sealed end. */
  end(attempt: Attempt): void {
    if (attempt.end === undefined) return
    const before = this.#pending.get(attempt.id)
    this.#pending.delete(attempt.id)
    // The end has all of them.
    this.#outputs.delete(attempt.id)
    const { stdout, stderr } = attempt.written
    const event: AttemptEvent = {
      attempt: attempt.id,
      seq: attempt.nextSeq(),
      phase: attempt.phase,
      stdout: before?.stdout,
      stderr: before?.stderr,
      stdoutAt: stdout - (before?.stdout?.length ?? 0),
      stderrAt: stderr - (before?.stderr?.length ?? 0),
      end: attempt.end,
    }
    this.#ends.set(attempt.id, event)
    if (attempt.sealedEnd !== undefined) this.#encoded.set(attempt.end, attempt.sealedEnd)
    this.#pending.set(attempt.id, event)
    this.#rouse()
  }

  /** The client has it durably. */
  acknowledged(id: string): void {
    this.#ends.delete(id)
    const pending = this.#pending.get(id)
    if (pending !== undefined && isTerminal(pending.phase)) this.#pending.delete(id)
  }

  /** Feeds a stream until it ends or another one takes its place. Everything unacknowledged is told again. */
  async feed(stream: FrameStream, live: Iterable<Attempt>): Promise<void> {
    this.#stream?.abort()
    this.#stream = stream
    this.#rouse()
    for (const [id, event] of this.#ends) this.#pending.set(id, event)
    for (const attempt of live) {
      if (attempt.over) continue
      this.progress(attempt)
      // Some may have been on their way when the stream before was cut.
      const files = attempt.streamed.all()
      if (files.length > 0) this.#outputs.set(attempt.id, new Map(files.map((it) => [it.path, it])))
    }
    const ended = stream.next().then(
      () => undefined,
      () => undefined,
    )
    let open = true
    void ended.then(() => {
      open = false
      this.#rouse()
    })
    try {
      while (open && this.#stream === stream) await this.#tell(stream)
    } finally {
      if (this.#stream === stream) this.#stream = undefined
    }
    await stream.close().catch(() => stream.abort())
  }

  async #tell(stream: FrameStream): Promise<void> {
    if (!this.#due) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      // Whatever else happens in this turn travels in the same frame; unless another stream took over.
      await new Promise<void>((resolve) => setImmediate(resolve))
      return
    }
    const batch = this.#take()
    this.#due = this.#pending.size > 0
    if (batch.length === 0) return
    this.#toldAt = performance.now()
    const documents = batch.map((event) =>
      event.end === undefined
        ? event
        : { ...event, end: this.#encoded.get(event.end) ?? event.end },
    )
    await stream.send(encodeDocument(documents))
  }

  /** What waits is to be told now. */
  #rouse(): void {
    if (this.#pause !== undefined) {
      clearTimeout(this.#pause)
      this.#pause = undefined
    }
    this.#due = true
    this.#wake?.()
    this.#wake = undefined
  }

  #rouseSoon(): void {
    const leftMs = this.#toldAt + OUTPUT_PAUSE_MS - performance.now()
    if (leftMs <= 0) this.#rouse()
    else this.#rouseIn(leftMs)
  }

  #rouseIn(ms: number): void {
    if (this.#due) return
    const at = performance.now() + ms
    if (this.#pause !== undefined && this.#dueAt <= at) return
    clearTimeout(this.#pause)
    this.#dueAt = at
    this.#pause = setTimeout(() => this.#rouse(), ms).unref()
  }

  close(): void {
    this.#stream?.abort()
    this.#stream = undefined
    this.#rouse()
  }

  #take(): AttemptEvent[] {
    const batch: AttemptEvent[] = []
    let bytes = 0
    for (const [id, waiting] of this.#pending) {
      const { event, more } = this.#withOutputs(waiting)
      batch.push(event)
      if (more === undefined) this.#pending.delete(id)
      else this.#pending.set(id, more)
      bytes += 512 + size(event)
      if (bytes >= Math.min(FRAME_BYTES, LIMITS.streamFrameBytes / 2)) break
    }
    return batch
  }

  /** Adds files to an event, and says what is left of it for another one when there are too many. */
  #withOutputs(event: AttemptEvent): { event: AttemptEvent; more?: AttemptEvent } {
    const waiting = this.#outputs.get(event.attempt)
    if (waiting === undefined || event.end !== undefined) return { event }
    const outputs = [...waiting.values()].slice(0, LIMITS.outputsPerEvent)
    for (const { path } of outputs) waiting.delete(path)
    if (waiting.size === 0) this.#outputs.delete(event.attempt)
    const { attempt, seq, phase } = event
    const told = { ...event, outputs }
    return waiting.size === 0 ? { event: told } : { event: told, more: { attempt, seq, phase } }
  }
}

function size(event: AttemptEvent): number {
  const outputs = event.outputs ?? []
  return (
    outputs.reduce((sum, { path }) => sum + 256 + path.length * 3, 0) +
    (event.stdout?.length ?? 0) +
    (event.stderr?.length ?? 0) +
    (event.end?.stdoutTail.length ?? 0) +
    (event.end?.stderrTail.length ?? 0) +
    (event.end?.receipt === undefined ? 0 : RECEIPT_BYTES) +
    (event.end?.proof?.path.length ?? 0)
  )
}

/** Never makes more than is kept: a task that floods its output would make garbage faster than it goes. */
function append(before: Uint8Array = new Uint8Array(), bytes: Uint8Array): Uint8Array {
  const kept = bytes.subarray(-PENDING_OUTPUT_BYTES)
  const room = PENDING_OUTPUT_BYTES - kept.length
  const earlier = before.subarray(Math.max(0, before.length - room))
  return earlier.length === 0 ? kept : Buffer.concat([earlier, kept])
}
