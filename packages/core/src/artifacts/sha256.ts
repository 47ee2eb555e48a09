import { hash, webcrypto } from 'node:crypto'

/** Above this a thread of the pool is worth its price; below it the hand-over costs more. */
const INLINE_BYTES = 128 * 1024

/** sha256, off this thread when there is much to hash. */
export async function sha256(bytes: Uint8Array): Promise<Uint8Array> {
  if (bytes.length <= INLINE_BYTES) return sha256Now(bytes)
  return new Uint8Array(await webcrypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>))
}

export function sha256Now(bytes: Uint8Array): Uint8Array {
  return hash('sha256', bytes, 'buffer')
}

export function sha256Hex(bytes: Uint8Array): string {
  return hash('sha256', bytes, 'hex')
}
