import { lstatSync, readdirSync, type Stats } from 'node:fs'
import { join } from 'node:path'

/** The longest that a task over its quota stays unnoticed. */
const INTERVAL_MS = 250
/** Entries looked at before the event loop gets its turn: less than a millisecond. */
const SLICE_ENTRIES = 128
/** What an empty file costs the disk, so that a flood of them runs into the quota as well. */
const ENTRY_BYTES = 256
/** What the one file beside the directory may take: a block. */
const FREE_BYTES = 4096
/** A walk may take this share of a core; a tree too large for that is walked less often. */
const DUTY = 0.2

/**
 * Measures a directory that a task writes to. Links are not followed; what vanishes meanwhile is not
 * counted; the walk ends as soon as the limit is passed.
 */
export class DiskMeter {
  readonly #directory: string
  readonly #limitBytes: number
  readonly #file: string | undefined
  #bytes = 0
  #measuredAt = Number.NEGATIVE_INFINITY
  #walk: Promise<number> | undefined
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  /** @param file - one more file that the task can write to; it has room for a line of its own */
  constructor(directory: string, limitBytes: number, file?: string) {
    this.#directory = directory
    this.#limitBytes = limitBytes
    this.#file = file
  }

  get over(): boolean {
    return this.#bytes > this.#limitBytes
  }

  /** Bytes below the directory, at most 250 ms old. */
  async recent(): Promise<number> {
    const fresh = performance.now() - this.#measuredAt < INTERVAL_MS
    return fresh ? this.#bytes : this.measure()
  }

  /** Bytes below the directory now. */
  measure(): Promise<number> {
    this.#walk ??= this.#measure().finally(() => {
      this.#walk = undefined
    })
    return this.#walk
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
        if (this.over) onOver()
        const tookMs = performance.now() - begun
        this.#schedule(onOver, Math.max(INTERVAL_MS - tookMs, tookMs * (1 / DUTY - 1)))
      })
    }, delayMs)
    this.#timer.unref()
  }

  async #measure(): Promise<number> {
    let bytes = Math.max(0, sizeOf(this.#file) - FREE_BYTES)
    let entries = 0
    const directories = [this.#directory]
    while (directories.length > 0 && bytes <= this.#limitBytes) {
      const directory = directories.pop()!
      for (const name of namesIn(directory)) {
        entries += 1
        if (entries % SLICE_ENTRIES === 0) await new Promise((resolve) => setImmediate(resolve))
        const path = join(directory, name)
        const found = lookAt(path)
        if (found === undefined) continue
        bytes += ENTRY_BYTES
        if (found.isDirectory()) directories.push(path)
        // The length counts as well as the blocks: a sparse file becomes whole when it is collected.
        else if (found.isFile()) bytes += sizeOf(found)
        if (bytes > this.#limitBytes) break
      }
    }
    this.#bytes = bytes
    this.#measuredAt = performance.now()
    return bytes
  }
}

function sizeOf(file: string | Stats | undefined): number {
  const found = typeof file === 'string' ? lookAt(file) : file
  return found === undefined ? 0 : Math.max(found.size, found.blocks * 512)
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

function lookAt(path: string): Stats | undefined {
  try {
    return lstatSync(path)
  } catch {
    return undefined
  }
}
