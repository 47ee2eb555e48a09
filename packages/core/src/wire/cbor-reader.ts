import { NOT_PLAIN } from './cbor-writer.ts'

/** Nested deeper is left to the full decoder. */
const DEPTH = 64
/** Keys that are remembered, by a hash of their bytes: most documents have the same ones. */
const KEY_SLOTS = 1024
const KEY_BYTES = 24
const EMPTY = Buffer.alloc(0)

/**
 * Reads what {@link CborWriter} writes: DAG-CBOR in its plain forms, keys in their order. Whatever else there
 * is, the full decoder is asked, whose word it is that something is wrong.
 */
export class CborReader {
  #bytes: Buffer = EMPTY
  #at = 0
  #end = 0
  readonly #keys: (string | undefined)[] = new Array(KEY_SLOTS).fill(undefined)

  /** @throws NOT_PLAIN */
  decode(document: Uint8Array): unknown {
    this.#bytes = Buffer.from(document.buffer, document.byteOffset, document.byteLength)
    this.#at = 0
    this.#end = document.byteLength
    try {
      const value = this.#value(0)
      if (this.#at !== this.#end) throw NOT_PLAIN
      return value
    } finally {
      this.#bytes = EMPTY
    }
  }

  #value(depth: number): unknown {
    if (this.#at >= this.#end) throw NOT_PLAIN
    const head = this.#bytes[this.#at++]!
    const minor = head & 31
    switch (head >> 5) {
      case 0:
        return this.#count(minor)
      case 1:
        return this.#negative(minor)
      case 2:
        return this.#blob(this.#count(minor))
      case 3:
        return this.#text(this.#count(minor))
      case 4:
        return this.#array(this.#count(minor), depth)
      case 5:
        return this.#map(this.#count(minor), depth)
      case 7:
        return this.#simple(head)
      default:
        throw NOT_PLAIN
    }
  }

  #simple(head: number): unknown {
    if (head === 0xf4) return false
    if (head === 0xf5) return true
    if (head === 0xf6) return null
    if (head !== 0xfb || this.#at + 8 > this.#end) throw NOT_PLAIN
    const number = this.#bytes.readDoubleBE(this.#at)
    if (!Number.isFinite(number)) throw NOT_PLAIN
    this.#at += 8
    return number
  }

  #array(length: number, depth: number): unknown[] {
    // Each item takes a byte at least: no memory for what is not there.
    if (depth === DEPTH || length > this.#end - this.#at) throw NOT_PLAIN
    const items: unknown[] = []
    for (let n = 0; n < length; n += 1) items.push(this.#value(depth + 1))
    return items
  }

  #map(length: number, depth: number): Record<string, unknown> {
    if (depth === DEPTH || length > this.#end - this.#at) throw NOT_PLAIN
    const record: Record<string, unknown> = {}
    let before: string | undefined
    for (let n = 0; n < length; n += 1) {
      const key = this.#key()
      // In their order no key comes twice.
      const ordered =
        before === undefined ||
        (before.length === key.length ? before < key : before.length < key.length)
      if (!ordered) throw NOT_PLAIN
      before = key
      record[key] = this.#value(depth + 1)
    }
    return record
  }

  #key(): string {
    if (this.#at >= this.#end) throw NOT_PLAIN
    const head = this.#bytes[this.#at++]!
    if (head >> 5 !== 3) throw NOT_PLAIN
    const length = this.#count(head & 31)
    const from = this.#take(length)
    const to = from + length
    let hash = length
    for (let at = from; at < to; at += 1) {
      const byte = this.#bytes[at]!
      if (byte > 0x7f) throw NOT_PLAIN
      hash = (hash * 31 + byte) | 0
    }
    if (length > KEY_BYTES) return this.#properKey(this.#bytes.toString('latin1', from, to))
    const slot = hash & (KEY_SLOTS - 1)
    const known = this.#keys[slot]
    if (known !== undefined && this.#reads(known, from, length)) return known
    const key = this.#properKey(this.#bytes.toString('latin1', from, to))
    this.#keys[slot] = key
    return key
  }

  #properKey(key: string): string {
    if (key === '__proto__') throw NOT_PLAIN
    return key
  }

  #reads(known: string, from: number, length: number): boolean {
    if (known.length !== length) return false
    for (let n = 0; n < length; n += 1) {
      if (known.charCodeAt(n) !== this.#bytes[from + n]) return false
    }
    return true
  }

  #text(length: number): string {
    const from = this.#take(length)
    const to = from + length
    for (let at = from; at < to; at += 1) {
      if (this.#bytes[at]! > 0x7f) return this.#bytes.toString('utf8', from, to)
    }
    return this.#bytes.toString('latin1', from, to)
  }

  /** A copy: a few bytes must not keep the whole frame. */
  #blob(length: number): Uint8Array {
    const from = this.#take(length)
    const blob = new Uint8Array(length)
    blob.set(this.#bytes.subarray(from, from + length))
    return blob
  }

  #take(length: number): number {
    const from = this.#at
    if (length > this.#end - from) throw NOT_PLAIN
    this.#at = from + length
    return from
  }

  #negative(minor: number): number {
    const value = -1 - this.#count(minor)
    if (!Number.isSafeInteger(value)) throw NOT_PLAIN
    return value
  }

  /** In its shortest form, and no larger than numbers are exact. */
  #count(minor: number): number {
    if (minor < 24) return minor
    const at = this.#at
    let value: number
    let least: number
    if (minor === 24 && at + 1 <= this.#end) {
      value = this.#bytes[at]!
      least = 24
      this.#at += 1
    } else if (minor === 25 && at + 2 <= this.#end) {
      value = this.#bytes.readUInt16BE(at)
      least = 0x100
      this.#at += 2
    } else if (minor === 26 && at + 4 <= this.#end) {
      value = this.#bytes.readUInt32BE(at)
      least = 0x10000
      this.#at += 4
    } else if (minor === 27 && at + 8 <= this.#end) {
      value = this.#bytes.readUInt32BE(at) * 0x100000000 + this.#bytes.readUInt32BE(at + 4)
      least = 0x100000000
      this.#at += 8
    } else throw NOT_PLAIN
    if (value < least || !Number.isSafeInteger(value)) throw NOT_PLAIN
    return value
  }
}
