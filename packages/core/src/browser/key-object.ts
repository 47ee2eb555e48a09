import { ed25519 } from '@noble/curves/ed25519.js'
import { ManyhandsError } from '../errors.ts'
import { Buffer } from './globals.ts'

/** DER of an Ed25519 PKCS #8 private key and SPKI public key up to the 32 bytes of the key itself. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

interface EncodedKey {
  key: Uint8Array
  format: 'der'
  type: 'pkcs8' | 'spki'
}

/** An Ed25519 key, as Node's class of that name. */
export class KeyObject {
  readonly asymmetricKeyType = 'ed25519'
  readonly type: 'private' | 'public'
  readonly #seed: Uint8Array | undefined
  #publicBytes: Uint8Array | undefined

  /** @internal */
  constructor(seed: Uint8Array | undefined, publicBytes?: Uint8Array) {
    this.#seed = seed
    this.#publicBytes = publicBytes
    this.type = seed === undefined ? 'public' : 'private'
  }

  /** @internal */
  get seed(): Uint8Array {
    if (this.#seed !== undefined) return this.#seed
    throw new ManyhandsError('INTERNAL', 'a public key does not sign')
  }

  /** @internal */
  get publicBytes(): Uint8Array {
    this.#publicBytes ??= ed25519.getPublicKey(this.seed)
    return this.#publicBytes
  }

  export({ type }: { type: 'pkcs8' | 'spki'; format: 'der' }): Buffer {
    return type === 'pkcs8'
      ? Buffer.concat([PKCS8_PREFIX, this.seed])
      : Buffer.concat([SPKI_PREFIX, this.publicBytes])
  }

  equals(other: KeyObject): boolean {
    return (
      this.type === other.type &&
      this.export(SPKI).equals(other.export(SPKI)) &&
      (this.type === 'public' || Buffer.from(this.seed).equals(other.seed))
    )
  }
}

const SPKI = { type: 'spki', format: 'der' } as const

export function createPrivateKey(encoded: EncodedKey): KeyObject {
  return new KeyObject(rest(encoded.key, PKCS8_PREFIX))
}

export function createPublicKey(encoded: EncodedKey | KeyObject): KeyObject {
  if (encoded instanceof KeyObject) return new KeyObject(undefined, encoded.publicBytes)
  return new KeyObject(undefined, rest(encoded.key, SPKI_PREFIX))
}

function rest(der: Uint8Array, prefix: Buffer): Uint8Array {
  const head = Buffer.from(der.subarray(0, prefix.length))
  if (der.length === prefix.length + 32 && head.equals(prefix)) {
    return Uint8Array.from(der.subarray(prefix.length))
  }
  throw new ManyhandsError('INTERNAL', 'this is no Ed25519 key')
}
