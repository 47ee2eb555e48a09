import type { Membership } from '../membership/membership.ts'
import type { Logger } from './network.ts'

/** How a peer takes part in a network. */
export interface NetworkOptions {
  /** Ed25519 private key, 32-byte seed; omitted: a new identity. */
  privateKey?: Uint8Array
  /** Multiaddrs to listen on; default none (dial only). */
  listen?: string[]
  /** Peers to connect to at the start and to keep connected. At least one must answer. */
  bootstrap?: string[]
  /** Finds peers on the local network by multicast DNS. Default false. */
  mdns?: boolean
  /** Whether to take part in the gossip of offers. Default true. */
  gossip?: boolean
  /** The private network to take part in, see `joinPrivateNetwork`. Omitted: the public one. */
  membership?: Membership
  logger?: Logger
}
