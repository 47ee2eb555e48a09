/** What the host's thread and a task's thread say to each other. */
import type { GrowthKnowledge } from './growth-watch.ts'

export interface WorkerMemory {
  initialPages: number
  maximumPages: number
  /** Whether the maximum is the task's cap, not the module's own. */
  capped: boolean
  growth: GrowthKnowledge
}

/** Sent once to a worker, which runs this and ends; or again and again to one that is kept warm. */
export interface WorkerTask {
  /** Undefined: that of the task before. */
  module: WebAssembly.Module | undefined
  /** The worker waits for another task; it has a /tmp of so many bytes, which stays from one to the next. */
  warmTmpBytes: number | undefined
  /** The memory to supply; undefined when the module has none. */
  memory: WorkerMemory | undefined
  argv: string[]
  /** `NAME=value` entries. */
  environment: string[]
  inDir: string | undefined
  outDir: string
  diskBytes: number
  control: SharedArrayBuffer
  stdout: SharedArrayBuffer
  stderr: SharedArrayBuffer
}

/** How the module ended. */
export interface WorkerEnd {
  kind: 'end'
  exitCode: number
  /** A trap, not an exit: the exit code is ours. */
  trapped: boolean
  /** More below /out than allowed. */
  disk: boolean
  oom: boolean
  /** The host's own failure: the module may be innocent. */
  fault: string | undefined
  /** CPU of the whole thread, ms. */
  cpuMs: number | undefined
}

/** There is something new in an output ring. */
export interface WorkerOutput {
  kind: 'output'
}

export type WorkerMessage = WorkerEnd | WorkerOutput

/** Exit code of a module that trapped: what a shell shows for SIGABRT. */
export const TRAP_EXIT_CODE = 134

// Two flags share the first cell of the gauges.
const PAUSED = 0
const HELD = 1
const MEMORY = 1
const DISK = 2
const HELD_MS = 3

/** Cells that both threads see at any time. */
export class WorkerControl {
  readonly buffer: SharedArrayBuffer
  readonly #flags: Int32Array
  readonly #gauges: BigInt64Array

  constructor(buffer = new SharedArrayBuffer(32)) {
    this.buffer = buffer
    this.#flags = new Int32Array(buffer)
    this.#gauges = new BigInt64Array(buffer)
  }

  set paused(paused: boolean) {
    Atomics.store(this.#flags, PAUSED, paused ? 1 : 0)
    if (!paused) Atomics.notify(this.#flags, PAUSED)
  }

  /** Blocks the calling thread while the task is paused. */
  waitWhilePaused(): void {
    if (Atomics.load(this.#flags, PAUSED) === 0) return
    const begun = performance.now()
    Atomics.store(this.#flags, HELD, 1)
    while (Atomics.load(this.#flags, PAUSED) === 1) Atomics.wait(this.#flags, PAUSED, 1)
    const heldMs = BigInt(Math.floor(performance.now() - begun))
    Atomics.add(this.#gauges, HELD_MS, heldMs)
    Atomics.store(this.#flags, HELD, 0)
  }

  /** Whether the thread stands still for a pause now: one that makes no system call never does. */
  get held(): boolean {
    return Atomics.load(this.#flags, HELD) === 1
  }

  /** How long it has stood still in earlier pauses, ms. */
  get heldMs(): number {
    return Number(Atomics.load(this.#gauges, HELD_MS))
  }

  /** Blocks the calling thread for so long. */
  sleep(ms: number): void {
    const forever = new Int32Array(new SharedArrayBuffer(4))
    Atomics.wait(forever, 0, 0, ms)
  }

  get memoryBytes(): number {
    return Number(Atomics.load(this.#gauges, MEMORY))
  }

  set memoryBytes(bytes: number) {
    Atomics.store(this.#gauges, MEMORY, BigInt(bytes))
  }

  get diskBytes(): number {
    return Number(Atomics.load(this.#gauges, DISK))
  }

  set diskBytes(bytes: number) {
    Atomics.store(this.#gauges, DISK, BigInt(bytes))
  }
}
