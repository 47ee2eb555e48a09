import { ManyhandsError } from '../errors.ts'
import type { Have } from './transfer-messages.ts'

/** Which of an artifact's blocks somebody has. */
export class BlockSet {
  readonly size: number
  readonly #bits: Uint8Array
  #count = 0

  constructor(size: number) {
    this.size = size
    this.#bits = new Uint8Array(Math.ceil(size / 8))
  }

  get count(): number {
    return this.#count
  }

  get full(): boolean {
    return this.#count === this.size
  }

  has(block: number): boolean {
    return ((this.#bits[block >> 3]! >> (block & 7)) & 1) === 1
  }

  /** False when it was there already. */
  add(block: number): boolean {
    if (this.has(block)) return false
    this.#bits[block >> 3]! |= 1 << (block & 7)
    this.#count += 1
    return true
  }

  fill(): void {
    for (let block = 0; block < this.size; block++) this.add(block)
  }

  /** Everything, to be told to somebody who knows nothing. */
  encoded(): Have {
    return { first: 0, bits: this.#bits.slice() }
  }

  /** Takes what was told; calls back for each block that is new. @throws PROTOCOL */
  take({ first, bits }: Have, added: (block: number) => void): void {
    // Zeros count too: to look at them costs as much, and there may be millions.
    if (first + bits.length * 8 > this.size + 7) throw noBlock()
    for (let index = 0; index < bits.length; index++) {
      for (let bit = 0; bit < 8; bit++) {
        if (((bits[index]! >> bit) & 1) === 0) continue
        const block = first + index * 8 + bit
        if (block >= this.size) throw noBlock()
        if (this.add(block)) added(block)
      }
    }
  }
}

function noBlock(): ManyhandsError {
  return new ManyhandsError('PROTOCOL', 'the peer told of a block that there is not')
}

/** News of some blocks: as few bytes as hold them. */
export function encodeBlocks(blocks: readonly number[]): Have {
  // Not as arguments of one call: there may be more than a call can have.
  const first = blocks.reduce((least, block) => Math.min(least, block))
  const last = blocks.reduce((most, block) => Math.max(most, block))
  const bits = new Uint8Array(((last - first) >> 3) + 1)
  for (const block of blocks) bits[(block - first) >> 3]! |= 1 << ((block - first) & 7)
  return { first, bits }
}
