/** Thrown to oneself for what the plain forms do not cover; whoever asked uses the full encoder then. */
export const NOT_PLAIN = Symbol('not plain')

/** A document that was encoded before; inside another one it is not encoded again. */
export class EncodedDocument {
  readonly bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }
}

/** Memory that is kept from one document to the next; larger ones get their own. */
const KEPT_BYTES = 256 * 1024
/** Nested deeper is left to the full encoder, which says what is wrong with it. */
const DEPTH = 64
/** Strings up to here are written letter by letter, which is cheaper than to ask for it. */
const SHORT = 24

/**
 * Writes documents as DAG-CBOR: the forms that documents of this project have, and nothing else. Fields that
 * are undefined are left out. What it writes is what `@ipld/dag-cbor` writes, which tests hold; it takes a
 * tenth of the time, and is asked several times for every task.
 */
export class CborWriter {
  #bytes = Buffer.allocUnsafeSlow(KEPT_BYTES)
  #at = 0
  /** The keys of all maps that are being written, each map's behind those of the one around it. */
  readonly #keys: string[] = []
  #top = 0

  /** @throws NOT_PLAIN */
  encode(document: unknown): Uint8Array {
    const view = this.view(document)
    const written = new Uint8Array(view.length)
    written.set(view)
    return written
  }

  /**
   * As {@link encode}, but in memory that the next document is written to: for those who look at it at once.
   *
   * @param prefix - bytes that come before it
   * @throws NOT_PLAIN
   */
  view(document: unknown, prefix?: Uint8Array): Uint8Array {
    // One that was large has had it for itself.
    if (this.#bytes.length > KEPT_BYTES) this.#bytes = Buffer.allocUnsafeSlow(KEPT_BYTES)
    this.#at = 0
    this.#top = 0
    if (prefix !== undefined) this.#raw(prefix)
    this.#value(document, 0)
    return this.#bytes.subarray(0, this.#at)
  }

  #value(value: unknown, depth: number): void {
    if (typeof value === 'string') this.#text(value)
    else if (typeof value === 'number') this.#number(value)
    else if (typeof value === 'boolean') this.#byte(value ? 0xf5 : 0xf4)
    else if (value === null) this.#byte(0xf6)
    else if (typeof value !== 'object' || depth === DEPTH) throw NOT_PLAIN
    else if (Array.isArray(value)) this.#array(value, depth)
    else if (value instanceof Uint8Array) this.#blob(value)
    else if (value instanceof EncodedDocument) this.#raw(value.bytes)
    else this.#map(value as Record<string, unknown>, depth)
  }

  #array(items: unknown[], depth: number): void {
    this.#head(4, items.length)
    for (const item of items) this.#value(item, depth + 1)
  }

  #map(record: Record<string, unknown>, depth: number): void {
    const prototype = Object.getPrototypeOf(record)
    if (prototype !== Object.prototype && prototype !== null) throw NOT_PLAIN
    const keys = this.#keys
    const first = this.#top
    for (const key in record) {
      if (record[key] === undefined) continue
      // In order: shorter ones first, then by their bytes, which for ASCII are their characters.
      let place = this.#top
      while (place > first && isBefore(key, keys[place - 1]!)) {
        keys[place] = keys[place - 1]!
        place -= 1
      }
      keys[place] = key
      this.#top += 1
    }
    const end = this.#top
    this.#head(5, end - first)
    for (let at = first; at < end; at += 1) {
      const key = keys[at]!
      this.#ascii(key)
      this.#value(record[key], depth + 1)
    }
    this.#top = first
  }

  #number(value: number): void {
    if (Number.isSafeInteger(value)) {
      if (value >= 0) this.#head(0, value)
      else this.#head(1, -1 - value)
      return
    }
    if (!Number.isFinite(value)) throw NOT_PLAIN
    this.#reserve(9)
    this.#bytes[this.#at] = 0xfb
    this.#bytes.writeDoubleBE(value, this.#at + 1)
    this.#at += 9
  }

  #text(text: string): void {
    const { length } = text
    if (length <= SHORT) {
      this.#reserve(length + 2)
      const start = this.#at
      const bytes = this.#bytes
      let at = start + (length < 24 ? 1 : 2)
      let plain = true
      for (let n = 0; n < length; n += 1) {
        const code = text.charCodeAt(n)
        if (code > 0x7f) {
          plain = false
          break
        }
        bytes[at++] = code
      }
      if (plain) {
        this.#head(3, length)
        this.#at = at
        return
      }
    }
    const bytes = Buffer.byteLength(text)
    this.#head(3, bytes)
    this.#reserve(bytes)
    this.#at += this.#bytes.write(text, this.#at, 'utf8')
  }

  /** Keys of another alphabet have another order. */
  #ascii(key: string): void {
    const { length } = key
    this.#head(3, length)
    this.#reserve(length)
    let at = this.#at
    for (let n = 0; n < length; n += 1) {
      const code = key.charCodeAt(n)
      if (code > 0x7f) throw NOT_PLAIN
      this.#bytes[at++] = code
    }
    this.#at = at
  }

  #blob(blob: Uint8Array): void {
    this.#head(2, blob.length)
    this.#raw(blob)
  }

  #raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#bytes.set(bytes, this.#at)
    this.#at += bytes.length
  }

  #head(major: number, count: number): void {
    this.#reserve(9)
    const bytes = this.#bytes
    const type = major << 5
    if (count < 24) bytes[this.#at++] = type | count
    else if (count < 0x100) {
      bytes[this.#at++] = type | 24
      bytes[this.#at++] = count
    } else if (count < 0x10000) {
      bytes[this.#at++] = type | 25
      bytes[this.#at++] = count >>> 8
      bytes[this.#at++] = count
    } else if (count < 0x100000000) {
      bytes[this.#at] = type | 26
      bytes.writeUInt32BE(count, this.#at + 1)
      this.#at += 5
    } else {
      bytes[this.#at] = type | 27
      bytes.writeUInt32BE(Math.floor(count / 0x100000000), this.#at + 1)
      bytes.writeUInt32BE(count % 0x100000000, this.#at + 5)
      this.#at += 9
    }
  }

  #byte(byte: number): void {
    this.#reserve(1)
    this.#bytes[this.#at++] = byte
  }

  #reserve(count: number): void {
    if (this.#at + count <= this.#bytes.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(this.#at + count, 2 * this.#bytes.length))
    grown.set(this.#bytes.subarray(0, this.#at))
    this.#bytes = grown
  }
}

function isBefore(a: string, b: string): boolean {
  return a.length === b.length ? a < b : a.length < b.length
}
