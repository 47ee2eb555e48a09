import { statfsSync } from 'node:fs'
import { formatByteSize } from '@manyhands/core'

/** Free space that is never promised to anybody: journal and results that wait need it. */
const FLOOR_BYTES = 256 * 1024 ** 2
/** On a small disk the floor is this part of it. */
const FLOOR_SHARE = 0.05
/** How old an answer may be, ms. */
const FRESH_MS = 250

/** Watches the disk of the state directory: below its floor nothing new is taken. */
export class DiskFloor {
  readonly #dir: string
  #lookedAt = Number.NEGATIVE_INFINITY
  #short: string | undefined
  #missing = 0

  constructor(dir: string) {
    this.#dir = dir
  }

  /** In words what is short; undefined while there is room. Synchronous: one system call at most. */
  short(): string | undefined {
    const now = performance.now()
    if (now - this.#lookedAt > FRESH_MS) {
      this.#lookedAt = now
      this.#short = this.#look()
    }
    return this.#short
  }

  /** Bytes that are short of the floor. */
  missing(): number {
    return this.short() === undefined ? 0 : this.#missing
  }

  #look(): string | undefined {
    try {
      const { bavail, blocks, bsize } = statfsSync(this.#dir)
      const floor = Math.min(FLOOR_BYTES, blocks * bsize * FLOOR_SHARE)
      const free = bavail * bsize
      this.#missing = floor - free
      if (free >= floor) return undefined
      return `${formatByteSize(free)} are free on this host's disk, at least ${formatByteSize(floor)} are kept`
    } catch {
      // Where the system does not tell, the first write that fails does.
      return undefined
    }
  }
}
