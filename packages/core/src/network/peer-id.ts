import type { PeerId } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { ManyhandsError } from '../errors.ts'

/** Reads a peer id. @throws ADDRESS_INVALID when it is none */
export function peerIdOf(peer: string): PeerId {
  try {
    return peerIdFromString(peer)
  } catch (cause) {
    throw new ManyhandsError('ADDRESS_INVALID', `not a peer id: ${JSON.stringify(peer)}`, { cause })
  }
}
