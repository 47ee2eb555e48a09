import { sizeOf, treeSize } from './tree-size.ts'
import { volumeUse } from './volume-use.ts'

/** The longest that a task over its quota stays unnoticed. */
const INTERVAL_MS = 250
/** What the one file beside the directory may take: a block. */
const FREE_BYTES = 4096

export interface DiskMeterOptions {
  /** Whether a file system of its own is mounted over the directory. */
  isVolume?: boolean
  /** One more file that the task can write to; it has room for a line of its own. */
  file?: string | undefined
}

/**
 * Measures a directory that a task writes to: by walking it or, where it is a volume of its own, by
 * asking the file system, which costs the same for a million files.
 */
export class DiskMeter {
  readonly #directory: string
  readonly #limitBytes: number
  readonly #isVolume: boolean
  readonly #file: string | undefined
  #bytes = 0
  #measuredAt = Number.NEGATIVE_INFINITY
  #measuring: Promise<number> | undefined
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(directory: string, limitBytes: number, options: DiskMeterOptions = {}) {
    this.#directory = directory
    this.#limitBytes = limitBytes
    this.#isVolume = options.isVolume ?? false
    this.#file = options.file
  }

  get over(): boolean {
    return this.#bytes > this.#limitBytes
  }

  /**
   * Bytes below the directory, at most 250 ms old, or as they were before a walk that goes on; after
   * {@link stop} the last that were measured.
   */
  async recent(): Promise<number> {
    const fresh = performance.now() - this.#measuredAt < INTERVAL_MS
    const known = this.#measuring !== undefined && this.#measuredAt > 0
    return fresh || known || this.#stopped ? this.#bytes : this.measure()
  }

  /** Bytes below the directory now. */
  measure(): Promise<number> {
    this.#measuring ??= this.#measure().finally(() => {
      this.#measuring = undefined
    })
    return this.#measuring
  }

  /**
   * The last measure, when nothing writes any more. It always walks: a file system does not count the
   * holes of sparse files, which become whole when they are collected.
   */
  async measureAtEnd(): Promise<number> {
    this.stop()
    await this.#measuring
    const used = this.#isVolume ? await volumeUse(this.#directory).catch(() => 0) : 0
    return this.#keep(Math.max(used, await treeSize(this.#directory, this.#limitBytes)))
  }

  /** Measures again and again until the limit is passed or {@link stop}. */
  watch(onOver: () => void): void {
    this.#schedule(onOver, INTERVAL_MS)
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  #schedule(onOver: () => void, delayMs: number): void {
    if (this.#stopped) return
    this.#timer = setTimeout(() => {
      const begun = performance.now()
      void this.measure().then(() => {
        if (this.#stopped) return
        if (this.over) onOver()
        this.#schedule(onOver, Math.max(0, INTERVAL_MS - (performance.now() - begun)))
      })
    }, delayMs)
    this.#timer.unref()
  }

  async #measure(): Promise<number> {
    if (!this.#isVolume) return this.#keep(await this.#patientWalk())
    const used = await volumeUse(this.#directory).catch(() => undefined)
    // Not mounted any more: what was measured last is the truth.
    return used === undefined ? this.#bytes : this.#keep(used)
  }

  #patientWalk(): Promise<number> {
    return treeSize(this.#directory, this.#limitBytes, () => this.#stopped)
  }

  #keep(bytes: number): number {
    const beside = this.#file === undefined ? 0 : Math.max(0, sizeOf(this.#file) - FREE_BYTES)
    this.#bytes = bytes + beside
    this.#measuredAt = performance.now()
    return this.#bytes
  }
}
