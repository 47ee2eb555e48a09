import type { TransferDayDocument, TransferDirection } from './transfer-governor.ts'

/** Ten minutes: a byte leaves the count 24 hours after it travelled, and at most one slot later. */
const SLOT_MS = 600_000
const SLOTS_PER_DAY = 144

/**
 * What travelled in the last 24 hours. Rolling, as all quotas of this project are: nothing is free at
 * once at midnight, and no zone or change to summer time is asked. A slot counts until all of it is a
 * day old, so that no 24 hours ever see more than the quota.
 */
export class TransferDay {
  readonly #slots: TransferDayDocument
  readonly #now: () => number
  #sent = 0
  #received = 0

  constructor(document: TransferDayDocument = [], now: () => number = Date.now) {
    this.#slots = document.map((slot) => [...slot])
    this.#now = now
    for (const [, sent, received] of this.#slots) {
      this.#sent += sent
      this.#received += received
    }
  }

  add(direction: TransferDirection, bytes: number): void {
    const slot = this.#roll()
    let current = this.#slots.at(-1)
    if (current === undefined || current[0] < slot) {
      current = [slot, 0, 0]
      this.#slots.push(current)
    }
    if (direction === 'up') {
      current[1] += bytes
      this.#sent += bytes
    } else {
      current[2] += bytes
      this.#received += bytes
    }
  }

  used(direction: TransferDirection): number {
    this.#roll()
    return direction === 'up' ? this.#sent : this.#received
  }

  /** Milliseconds until the oldest of it is a day old; 0 when nothing is counted. */
  freeInMs(): number {
    this.#roll()
    const oldest = this.#slots[0]
    if (oldest === undefined) return 0
    return Math.max(0, (oldest[0] + SLOTS_PER_DAY + 1) * SLOT_MS - this.#now())
  }

  document(): TransferDayDocument {
    this.#roll()
    return this.#slots.map((slot) => [...slot])
  }

  /** Forgets what is older than a day. Returns the current slot. */
  #roll(): number {
    const slot = Math.floor(this.#now() / SLOT_MS)
    // A clock that was set back: what lies in its future happened, so it counts as of now.
    for (let last = this.#slots.at(-1); last !== undefined && last[0] > slot; ) {
      const before = this.#slots.at(-2)
      if (before === undefined || before[0] < slot) {
        last[0] = slot
        break
      }
      before[1] += last[1]
      before[2] += last[2]
      this.#slots.pop()
      last = before
    }
    while (this.#slots.length > 0 && this.#slots[0]![0] < slot - SLOTS_PER_DAY) {
      const [, sent, received] = this.#slots.shift()!
      this.#sent -= sent
      this.#received -= received
    }
    return slot
  }
}
