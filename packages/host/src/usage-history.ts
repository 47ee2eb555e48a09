import type { Usage } from '@manyhands/core'

/** Samples kept of one attempt: ten minutes at one a second. */
const SAMPLES = 600
/** Room that a new history has; short attempts never need more. */
const FIRST_SAMPLES = 32

const FIELDS = [
  'elapsedMs',
  'cpu',
  'cpuMs',
  'memory',
  'memoryPeak',
  'pids',
  'disk',
  'netIn',
  'netOut',
  'gpu',
] as const satisfies (keyof Usage)[]

/** The last samples of one attempt as plain numbers: 80 bytes each, however long it runs. */
export class UsageHistory {
  /** Nothing before the first sample: most attempts of a large batch end before it. */
  #numbers = new Float64Array()
  #written = 0

  push(usage: Usage): void {
    const room = this.#numbers.length / FIELDS.length
    if (this.#written === room && room < SAMPLES) {
      this.#grow(Math.min(SAMPLES, Math.max(FIRST_SAMPLES, room * 2)))
    }
    const at = (this.#written % (this.#numbers.length / FIELDS.length)) * FIELDS.length
    for (const [index, field] of FIELDS.entries()) {
      this.#numbers[at + index] = usage[field] ?? Number.NaN
    }
    this.#written += 1
  }

  /** Oldest first. */
  samples(): Usage[] {
    const room = this.#numbers.length / FIELDS.length
    const count = Math.min(this.#written, room)
    return Array.from({ length: count }, (_, n) => this.#at((this.#written - count + n) % room))
  }

  #at(slot: number): Usage {
    const usage: Record<string, number> = {}
    for (const [index, field] of FIELDS.entries()) {
      const value = this.#numbers[slot * FIELDS.length + index]!
      if (!Number.isNaN(value)) usage[field] = value
    }
    return usage as unknown as Usage
  }

  /** Only while nothing was overwritten yet, so the order stays. */
  #grow(samples: number): void {
    const grown = new Float64Array(samples * FIELDS.length)
    grown.set(this.#numbers)
    this.#numbers = grown
  }
}
