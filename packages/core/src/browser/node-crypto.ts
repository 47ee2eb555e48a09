import { ed25519 } from '@noble/curves/ed25519.js'
import { hkdf } from '@noble/hashes/hkdf.js'
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { ManyhandsError } from '../errors.ts'
import { Buffer } from './globals.ts'
import type { KeyObject } from './key-object.ts'

// What stands for node:crypto in a browser: the two algorithms that this project uses, at once and not
// by promises, which is all that the browser's own offer.

export { createPrivateKey, createPublicKey, KeyObject } from './key-object.ts'

export const webcrypto = globalThis.crypto

/** Bytes that the browser draws in one call at most. */
const DRAWN_AT_ONCE = 65_536

type Data = string | Uint8Array
type Encoding = 'buffer' | 'hex' | 'base64' | 'base64url'

export function hash(algorithm: string, data: Data, encoding: Encoding = 'hex'): string | Buffer {
  assertSha256(algorithm)
  return encoded(sha256(bytesOf(data)), encoding)
}

/** A hash, or a keyed one, of what comes bit by bit. */
class Digest {
  readonly #state: { update(bytes: Uint8Array): unknown; digest(): Uint8Array }

  constructor(state: { update(bytes: Uint8Array): unknown; digest(): Uint8Array }) {
    this.#state = state
  }

  update(data: Data): this {
    this.#state.update(bytesOf(data))
    return this
  }

  digest(encoding: Encoding = 'buffer'): string | Buffer {
    return encoded(this.#state.digest(), encoding)
  }
}

export function createHash(algorithm: string): Digest {
  assertSha256(algorithm)
  return new Digest(sha256.create())
}

export function createHmac(algorithm: string, key: Data): Digest {
  assertSha256(algorithm)
  return new Digest(hmac.create(sha256, bytesOf(key)))
}

export function hkdfSync(
  algorithm: string,
  key: Data,
  salt: Data,
  info: Data,
  length: number,
): ArrayBuffer {
  assertSha256(algorithm)
  const derived = hkdf(sha256, bytesOf(key), bytesOf(salt), bytesOf(info), length)
  return Uint8Array.from(derived).buffer
}

export function randomBytes(length: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let at = 0; at < length; at += DRAWN_AT_ONCE) {
    webcrypto.getRandomValues(bytes.subarray(at, at + DRAWN_AT_ONCE))
  }
  return bytes
}

/** A whole number from `least` (default 0) up to, and not including, `end`. */
export function randomInt(least: number, end?: number): number {
  const [from, to] = end === undefined ? [0, least] : [least, end]
  const range = to - from
  // Of the last, incomplete round no number is taken: none is likelier than another.
  const whole = Math.floor(2 ** 48 / range) * range
  for (;;) {
    const drawn = randomBytes(6).readUIntBE(0, 6)
    if (drawn < whole) return from + (drawn % range)
  }
}

export function randomUUID(): string {
  return webcrypto.randomUUID()
}

export function timingSafeEqual(a: Uint8Array, b: Uint8Array): boolean {
  let differs = a.length ^ b.length
  for (const [at, byte] of a.entries()) differs |= byte ^ (b[at] ?? 0)
  return differs === 0
}

export function sign(_algorithm: null, data: Uint8Array, key: KeyObject): Buffer {
  return Buffer.from(ed25519.sign(data, key.seed))
}

/** As strict as RFC 8032, and as OpenSSL. */
export function verify(
  _algorithm: null,
  data: Uint8Array,
  key: KeyObject,
  signature: Uint8Array,
): boolean {
  try {
    return ed25519.verify(signature, data, key.publicBytes, { zip215: false })
  } catch {
    return false
  }
}

function assertSha256(algorithm: string): void {
  if (algorithm === 'sha256') return
  throw new ManyhandsError('INTERNAL', `there is no ${algorithm} in a browser`)
}

function bytesOf(data: Data): Uint8Array {
  return typeof data === 'string' ? new TextEncoder().encode(data) : data
}

function encoded(bytes: Uint8Array, encoding: Encoding): string | Buffer {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return encoding === 'buffer' ? buffer : buffer.toString(encoding)
}
