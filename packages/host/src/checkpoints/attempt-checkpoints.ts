import type { AnnouncedCheckpoint, Checkpoint } from '@manyhands/core'

/** Checkpoints of an attempt that are here at once: one that its client fetches, and a last one. */
const HELD = 2

/**
 * The checkpoints of one attempt that are on this disk. The newest stays, taken or not: what has not
 * changed since then costs nothing in the next one.
 */
export class AttemptCheckpoints {
  /** Oldest first; the last one is the newest. */
  #held: AnnouncedCheckpoint[]
  #seq: number
  #takenSeq = 0
  #missed = false
  /** Bytes of the one that is being made. */
  making = 0

  /** @param before - the newest, of an earlier life of this host */
  constructor(before?: AnnouncedCheckpoint) {
    this.#held = before === undefined ? [] : [before]
    this.#seq = before?.seq ?? 0
  }

  /** The newest, unless its client has it. */
  get pending(): AnnouncedCheckpoint | undefined {
    const newest = this.#held.at(-1)
    return newest !== undefined && newest.seq > this.#takenSeq ? newest : undefined
  }

  /** Whether the newest went before its client had it. */
  get missed(): boolean {
    return this.#missed
  }

  /** Bytes that they take, what they share counted for each, and that which is being made. */
  get bytes(): number {
    return this.#held.reduce((sum, { bytes }) => sum + bytes, this.making)
  }

  /** Bytes of those that its client has. */
  get takenBytes(): number {
    return this.#held
      .filter(({ seq }) => seq <= this.#takenSeq)
      .reduce((sum, { bytes }) => sum + bytes, 0)
  }

  get roots(): string[] {
    return [...new Set(this.#held.map(({ root }) => root))]
  }

  has(root: string): boolean {
    return this.#held.some((one) => one.root === root)
  }

  /** The next one of this attempt, not yet {@link add}ed. */
  next({ root, bytes }: Checkpoint): AnnouncedCheckpoint {
    this.#seq += 1
    return { seq: this.#seq, root, bytes }
  }

  /** Returns the roots that nothing of this attempt needs any more. */
  add(checkpoint: AnnouncedCheckpoint): string[] {
    this.#held.push(checkpoint)
    this.#missed = false
    const kept = this.#held.slice(-HELD)
    return this.#drop((one) => one.seq <= this.#takenSeq || !kept.includes(one))
  }

  /** Its client has it, or wants it no more. Returns the roots that nothing of this attempt needs. */
  taken(seq: number): string[] {
    this.#takenSeq = Math.max(this.#takenSeq, Math.min(seq, this.#seq))
    return this.#drop((one) => one.seq < this.#takenSeq && one !== this.#held.at(-1))
  }

  /** Whoever had them is not its client any more. */
  forgotten(): void {
    this.#takenSeq = 0
  }

  /** Makes room: lets go of what its client has. Returns the roots. */
  dropTaken(): string[] {
    return this.#drop(({ seq }) => seq <= this.#takenSeq)
  }

  /** Makes room: lets go of the one that is here for longest. Returns the roots that nothing needs. */
  dropOldest(): string[] {
    const [oldest] = this.#held
    this.#missed ||= oldest !== undefined && oldest === this.pending
    return this.#drop((one) => one === oldest)
  }

  /** Lets go of all but what waits for its client, or of that too. Returns the roots. */
  end(options: { keepPending: boolean }): string[] {
    const kept = options.keepPending ? this.pending : undefined
    return this.#drop((one) => one !== kept)
  }

  #drop(which: (one: AnnouncedCheckpoint) => boolean): string[] {
    const gone = this.#held.filter((one) => which(one))
    this.#held = this.#held.filter((one) => !gone.includes(one))
    return [...new Set(gone.map(({ root }) => root))].filter((root) => !this.has(root))
  }
}
