import { createPrivateKey, createPublicKey, type KeyObject, randomBytes } from 'node:crypto'
import { base58btc } from 'multiformats/bases/base58'
import { ManyhandsError } from '../errors.ts'

/** Who a peer is on the network: an Ed25519 key and the peer id that follows from it. */
export interface Identity {
  /** The 32-byte seed of the private key: keep it secret, store it with mode 0600. */
  seed: Uint8Array
  /** `12D3Koo…` */
  peerId: string
}

const SEED_BYTES = 32
/** DER of an Ed25519 PKCS #8 private key and SPKI public key up to the 32 bytes of the key itself. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')
/** Identity multihash of the protobuf `{ type: Ed25519, data: <32 bytes> }`. */
const PEER_ID_PREFIX = Buffer.from('002408011220', 'hex')

/**
 * Makes an identity, or derives the one that belongs to a seed.
 *
 * @throws CONFIG_INVALID when the seed is not 32 bytes
 * @example
 * const { seed, peerId } = createIdentity()
 */
export function createIdentity(seed: Uint8Array = randomBytes(SEED_BYTES)): Identity {
  if (seed.length !== SEED_BYTES) {
    throw new ManyhandsError(
      'CONFIG_INVALID',
      `a private key is a seed of ${SEED_BYTES} bytes, not ${seed.length}`,
    )
  }
  const spki = createPublicKey(signingKey(seed)).export({ type: 'spki', format: 'der' })
  const key = spki.subarray(SPKI_PREFIX.length)
  const peerId = base58btc.baseEncode(Buffer.concat([PEER_ID_PREFIX, key]))
  return { seed: Uint8Array.from(seed), peerId }
}

/** The key that signs for the identity of a seed. */
export function signingKey(seed: Uint8Array): KeyObject {
  return createPrivateKey({
    key: Buffer.concat([PKCS8_PREFIX, seed]),
    format: 'der',
    type: 'pkcs8',
  })
}

/** The key that a peer id stands for; undefined when it is not the id of an Ed25519 key. */
export function publicKeyOf(peerId: string): KeyObject | undefined {
  let bytes: Uint8Array
  try {
    bytes = base58btc.baseDecode(peerId)
  } catch {
    return undefined
  }
  const prefix = Buffer.from(bytes.subarray(0, PEER_ID_PREFIX.length))
  if (bytes.length !== PEER_ID_PREFIX.length + 32 || !prefix.equals(PEER_ID_PREFIX)) {
    return undefined
  }
  return createPublicKey({
    key: Buffer.concat([SPKI_PREFIX, bytes.subarray(PEER_ID_PREFIX.length)]),
    format: 'der',
    type: 'spki',
  })
}
