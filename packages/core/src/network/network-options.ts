import type { Duration } from '../duration.ts'
import type { Membership } from '../membership/membership.ts'
import type { Logger } from './network.ts'
import type { RelayOptions } from './reach/relay-options.ts'
import type { ServerCertificate } from './server-certificate.ts'
import type { TransportPlugin } from './transport-plugin.ts'

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
  /**
   * Asks the router of the local network to pass on what comes to it for the TCP ports that we listen on
   * (UPnP), renews that every five minutes or as often as is said here (1 s at least), and takes it back at the end.
   * Default false: nothing of a router is changed unasked. That none does it is no error; see
   * {@link Network.portMapping}.
   */
  upnp?: boolean | { renew?: Duration }
  /** Key and certificate for addresses that end with `/tls/ws`: PEM, or paths of PEM files, read at the start. */
  tls?: ServerCertificate
  /**
   * Whether others may be reached over this peer, and how much of it. Default false. It helps those alone
   * who can reach this peer.
   */
  relay?: boolean | RelayOptions
  /**
   * Addresses of relays at which this peer is reached, `LIMITS.relaysPerPeer` at a time, when it cannot be
   * reached directly. Peers that it is connected to and that are relays are used without being named.
   */
  relays?: string[]
  /** Further ways to connect, beside TCP and websockets; see `@manyhands/webrtc`. Default none. */
  transports?: readonly TransportPlugin[]
  logger?: Logger
}
