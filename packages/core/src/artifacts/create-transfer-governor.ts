import { formatByteSize } from '../byte-size.ts'
import { formatDuration } from '../duration.ts'
import { ManyhandsError } from '../errors.ts'
import { TransferDay } from './transfer-day.ts'
import type {
  LocalTransferGovernor,
  TransferDirection,
  TransferGovernorOptions,
  TransferRecord,
  TransferRules,
  TransferTotals,
} from './transfer-governor.ts'
import { TransferLane } from './transfer-lane.ts'
import { TRANSFER } from './transfer-limits.ts'
import { TransferTally } from './transfer-tally.ts'

/** Makes a governor that counts, and holds to rules. Keeps no process alive. */
export function createTransferGovernor(
  options: TransferGovernorOptions = {},
): LocalTransferGovernor {
  return new RuledGovernor(options)
}

/** Lots that a cap lets through in a second, and their least size: what a side takes for a sign of life. */
const LOTS_PER_SECOND = 16
const LEAST_LOT = 64 * 1024

/** Where less than this is left, it is as good as used up: most pieces are larger. */
const SMALL = 1024 * 1024

const WORDS = { up: 'upload', down: 'download' } as const

class RuledGovernor implements LocalTransferGovernor {
  readonly #day: TransferDay
  readonly #tally: TransferTally
  readonly #lanes: Record<TransferDirection, TransferLane>
  /** Where less than the largest piece that was refused is left, nothing more is begun. */
  readonly #leastRest: Record<TransferDirection, number> = { up: SMALL, down: SMALL }
  #rules: TransferRules = {}
  #changed = false

  constructor({ rules = {}, record, now = Date.now, monotonic }: TransferGovernorOptions) {
    this.#day = new TransferDay(record?.day, now)
    this.#tally = new TransferTally(record)
    const clock = monotonic ?? (() => performance.now())
    this.#lanes = { up: new TransferLane(clock), down: new TransferLane(clock) }
    this.setRules(rules)
  }

  setRules(rules: TransferRules): void {
    this.#rules = rules
    for (const direction of ['up', 'down'] as const) {
      const word = WORDS[direction]
      this.#lanes[direction].setRates(rules[word], rules.perPeer?.[word])
    }
  }

  take(
    direction: TransferDirection,
    peer: string,
    bytes: number,
    signal?: AbortSignal,
  ): Promise<void> | undefined {
    if (signal?.aborted) return Promise.reject(signal.reason)
    const refusal = this.#refusal(direction, bytes)
    if (refusal !== undefined) return Promise.reject(refusal)
    const turn = this.#lanes[direction].take(peer, bytes, signal)
    // Counted when it was asked for: what waits has its place in the quota already, so that many who
    // wait together do not use more than there is.
    this.#day.add(direction, bytes)
    this.#tally.add(direction, peer, bytes)
    this.#changed = true
    return turn
  }

  lotBytes(direction: TransferDirection): number | undefined {
    const word = WORDS[direction]
    const { perPeer, daily } = this.#rules
    const rates = [this.#rules[word], perPeer?.[word]].filter((rate) => rate !== undefined)
    const lots = rates.map((rate) => Math.max(LEAST_LOT, Math.round(rate / LOTS_PER_SECOND)))
    // What is counted against the day and does not go is lost to others.
    if (daily?.[word] !== undefined) lots.push(TRANSFER.lotBytes)
    return lots.length > 0 ? Math.min(...lots) : undefined
  }

  usedUp(direction: TransferDirection): string | undefined {
    const most = this.#rules.daily?.[WORDS[direction]]
    if (most === undefined) return undefined
    const rest = most - this.#day.used(direction)
    const needed = Math.max(1, Math.min(most, this.#leastRest[direction]))
    if (rest >= needed) return undefined
    return `${this.standing(direction)}: some of it is free again in ${formatDuration(this.#day.freeInMs())}`
  }

  standing(direction: TransferDirection): string {
    const most = this.#rules.daily?.[WORDS[direction]]
    const used = formatByteSize(this.#day.used(direction))
    const of = most === undefined ? '' : ` of ${formatByteSize(most)}`
    return `${used}${of} ${WORDS[direction]} used in the last 24 hours`
  }

  totals(): TransferTotals {
    return {
      ...this.#tally.sums(),
      lastDay: { sent: this.#day.used('up'), received: this.#day.used('down') },
      daily: { ...this.#rules.daily },
      peers: this.#tally.peers(),
    }
  }

  get changed(): boolean {
    return this.#changed
  }

  record(): TransferRecord {
    this.#changed = false
    return { day: this.#day.document(), ...this.#tally.sums(), peers: this.#tally.peers() }
  }

  #refusal(direction: TransferDirection, bytes: number): ManyhandsError | undefined {
    const most = this.#rules.daily?.[WORDS[direction]]
    if (most === undefined || this.#day.used(direction) + bytes <= most) return undefined
    this.#leastRest[direction] = Math.max(this.#leastRest[direction], bytes)
    return new ManyhandsError(
      'TRANSFER_QUOTA',
      this.usedUp(direction) ??
        `${this.standing(direction)}, ${formatByteSize(bytes)} more do not fit`,
      { details: { direction: WORDS[direction], mostBytes: most, freeInMs: this.#day.freeInMs() } },
    )
  }
}
