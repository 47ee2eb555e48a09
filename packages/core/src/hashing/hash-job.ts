import type { ErrorDocument } from '../errors.ts'

/** Bytes that one thread reads at once: few hand-overs, and mostly still in its cache when hashed. */
export const BLOCK_BYTES = 2 * 1024 * 1024

/** What the threads of one file are told. Numbers of open files hold for all threads of a process. */
export type HashTask =
  | { kind: 'cut'; fd: number; size: number }
  /** @param copyTo - an open file that gets the bytes that are right */
  | {
      kind: 'verify'
      fd: number
      size: number
      chunks: Uint8Array
      lengths?: Uint8Array
      copyTo?: number
    }
  | {
      kind: 'copy'
      fd: number
      copyTo: number
      /** 32 bytes each. */
      hashes: Uint8Array
      /** Of each: position there, position here, length. */
      places: Float64Array
    }

/** @param blocks - parts that are claimed one by one, see {@link blocksOf} */
export interface HashJob {
  task: HashTask
  blocks: number
  control: SharedArrayBuffer
}

const COPIES_PER_BLOCK = 16

export function blocksOf(task: HashTask): number {
  return task.kind === 'copy'
    ? Math.ceil(task.hashes.length / 32 / COPIES_PER_BLOCK)
    : Math.ceil(task.size / BLOCK_BYTES)
}

/** Which copies belong to a block: from the first until before the second. */
export function copiesOf(block: number, { hashes }: { hashes: Uint8Array }): [number, number] {
  const first = block * COPIES_PER_BLOCK
  return [first, Math.min(first + COPIES_PER_BLOCK, hashes.length / 32)]
}

/** The chunks that begin in one block. */
export interface BlockChunks {
  block: number
  hashes: Uint8Array
  lengths: number[]
}

/** What a thread answers, once for each job: a message costs as much as hashing a whole chunk. */
export type HashAnswer =
  | { kind: 'ready' }
  | { kind: 'end'; result?: ThreadResult; error?: ErrorDocument }

/** What one thread found out: chunks that it has cut, copies that were right, whether all was right. */
export interface ThreadResult {
  cut?: BlockChunks[]
  copied?: number[]
  wrong?: boolean
}

const NEXT = 0
const TURN = 1
const STOPPED = 2
const WORDS = 3
const START = 16

/**
 * What the threads of one file share. Blocks are claimed in order. Where a chunk ends depends on where
 * it began, so blocks are cut one after another, by turns; they are read and hashed side by side.
 */
export class HashControl {
  readonly shared: SharedArrayBuffer
  readonly blocks: number
  readonly #words: Int32Array
  readonly #start: Float64Array

  constructor(blocks: number, shared = new SharedArrayBuffer(START + 8)) {
    this.shared = shared
    this.blocks = blocks
    this.#words = new Int32Array(shared, 0, WORDS)
    this.#start = new Float64Array(shared, START, 1)
  }

  /** The next block that nobody has; undefined when there is none, or when the work was stopped. */
  claim(): number | undefined {
    if (this.exhausted) return undefined
    const block = Atomics.add(this.#words, NEXT, 1)
    return block < this.blocks ? block : undefined
  }

  /** Whether there is nothing left to claim. */
  get exhausted(): boolean {
    return this.stopped || Atomics.load(this.#words, NEXT) >= this.blocks
  }

  /** Waits until all blocks before are cut. @returns where the next chunk begins; undefined: stopped */
  turn(block: number): number | undefined {
    for (;;) {
      if (this.stopped) return undefined
      const turn = Atomics.load(this.#words, TURN)
      if (turn === block) return this.#start[0]
      // Whoever has the turn is running, or the work is stopped.
      Atomics.wait(this.#words, TURN, turn, 1000)
    }
  }

  /** Gives the turn to the next block. @param start - where its first chunk begins, in the file */
  pass(block: number, start: number): void {
    this.#start[0] = start
    Atomics.store(this.#words, TURN, block + 1)
    Atomics.notify(this.#words, TURN)
  }

  get stopped(): boolean {
    return Atomics.load(this.#words, STOPPED) === 1
  }

  /** Lets every thread end soon. */
  stop(): void {
    Atomics.store(this.#words, STOPPED, 1)
    Atomics.notify(this.#words, TURN)
  }
}
