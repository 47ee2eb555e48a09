import { hash, hkdfSync } from 'node:crypto'

const NONCE_BYTES = 16
const RECENT = 8192

/**
 * What hosts have to repeat in their receipts: for each attempt at each host another number that nobody
 * else can foretell. It follows from the client's own key, so that a client that was started again knows
 * what it asked for.
 */
export class AttemptNonces {
  /** Each is asked for twice: with the offer and with the end. */
  readonly #recent = new Map<string, string>()
  readonly #inner: Buffer
  readonly #outer: Buffer

  /** @param seed - the private key of this peer */
  constructor(seed: Uint8Array) {
    const key = new Uint8Array(hkdfSync('sha256', seed, '', 'manyhands/nonce/1', 32))
    this.#inner = keyBlock(key, 0x36)
    this.#outer = keyBlock(key, 0x5c)
  }

  /** Hexadecimal, 16 bytes. */
  of(host: string, attempt: string): string {
    const about = `${host}\0${attempt}`
    const known = this.#recent.get(about)
    if (known !== undefined) {
      this.#recent.delete(about)
      return known
    }
    const nonce = this.#nonce(about)
    if (this.#recent.size >= RECENT) this.#recent.clear()
    this.#recent.set(about, nonce)
    return nonce
  }

  #nonce(about: string): string {
    // HMAC-SHA256 by its definition: the ready-made one makes a key object for each, which takes longer than
    // everything else that is done to send out a task.
    const said = Buffer.from(about)
    const inner = hash('sha256', Buffer.concat([this.#inner, said]), 'buffer')
    return hash('sha256', Buffer.concat([this.#outer, inner]), 'hex').slice(0, 2 * NONCE_BYTES)
  }
}

const BLOCK_BYTES = 64

function keyBlock(key: Uint8Array, pad: number): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES, pad)
  for (const [at, byte] of key.entries()) block[at] = byte ^ pad
  return block
}
