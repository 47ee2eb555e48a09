import type { AskedOffers, AskOffersOptions } from '../discovery/offer-asking.ts'
import type { MemberRole } from '../membership/member-role.ts'
import type { Membership } from '../membership/membership.ts'
import type { Offer } from '../offer.ts'
import type { RpcMethod, RpcParams, RpcResult } from '../wire/rpc-methods.ts'
import type { Ban, MannersCounts } from './manners/ban.ts'
import type { PeerConnection } from './peer-connection.ts'
import type { PortMapping } from './port-mapping/port-mapping.ts'
import type { Reachability } from './reach/reachability.ts'

/**
 * The network as both sides see it: peers by id, typed requests, framed streams, offers. libp2p is
 * behind it and does not show through. A client and a host in one process have one each.
 *
 * Events (`addEventListener`): `'peer:connect'` and `'peer:disconnect'`, `CustomEvent<string>` with
 * the peer id, when the first connection to a peer opens and the last one closes; `'peer:reconnect'`, the
 * same, when a new one has taken the place of those before, with which all that went over them has ended;
 * `'connection:open'` and `'connection:close'`, `CustomEvent<PeerConnection>`, for each of them; `'addresses'`,
 * `CustomEvent<string[]>`, when {@link Network.addresses} changed; `'offer'`, `CustomEvent<Offer>`, when an
 * offer is new or changed; `'offer:gone'`, `CustomEvent<string>` with the peer id, when its host has said
 * goodbye, or nothing for as long as the offer was good; `'ban'`, `CustomEvent<Ban>`, when a peer or an
 * address is refused for a while.
 * In a private network also `'peer:expelled'`, `CustomEvent<{ peer: string, reason: string }>`, when a
 * connected peer is no member's any more, a second before it is cut off; and `'membership:ended'`,
 * `CustomEvent<ManyhandsError>`, when this computer is none.
 */
export interface Network extends EventTarget, AsyncDisposable {
  readonly peerId: string
  /**
   * Addresses at which this peer can be reached, each with `/p2p/PEER`: what others have tried and works
   * first, those over relays after the direct ones, and what is known not to work last.
   */
  readonly addresses: string[]

  /** What this peer shows in a private network; undefined in the public one. */
  readonly membership?: Membership | undefined
  /** What the member may do that a peer belongs to, once it was connected; undefined in the public network. */
  roleOf?(peer: string): MemberRole | undefined
  /**
   * Compares what is known of members with all of them that are connected, both ways. It happens by itself
   * as well; after this it has. In the public network nothing.
   *
   * @returns the peers that have answered
   */
  compareMembers?(): Promise<string[]>

  /**
   * Connects to an address and returns the peer id found there. An address without `/p2p/…` takes
   * whoever answers. Of a list, all of them addresses of one peer, the direct ones are tried first; then
   * a neighbour of both is asked to have it call back; then it is reached over its relays.
   *
   * @param options.told - a peer told the address, `by` when it is known which one. Then it is not dialed
   *   when it is of a private network that neither we nor that peer are in
   * @throws ADDRESS_INVALID, CONNECT_FAILED; in a private network INVITE_INVALID and NOT_A_MEMBER, saying why
   */
  connect(
    address: string | readonly string[],
    options?: { signal?: AbortSignal; told?: { by?: string } },
  ): Promise<string>

  /**
   * Makes a new connection to a peer that is or was connected, beside what there is; once it is made, the
   * older ones are ended. For a peer that should say something and does not: the kernel would need minutes
   * to find out that the way is cut, or that it is back.
   *
   * @param options.addresses - where it says that it can be reached, tried after the place where it was
   *   found last
   * @throws CONNECT_FAILED
   */
  reconnect(
    peer: string,
    options?: { addresses?: readonly string[]; signal?: AbortSignal },
  ): Promise<void>

  /** How others can reach this peer, why not better, and what to do about it. */
  reachability(): Reachability

  /** Whether there is a live connection. */
  isConnected(peer: string): boolean
  /** Peers with a live connection. */
  peers(): string[]
  /** The live connections, and how each of them runs. */
  connections(): PeerConnection[]
  /** What came of asking the router for ports; undefined when that was not wished for. */
  portMapping(): PortMapping | undefined
  /** Numbers about this peer's part in the network, for its owner. */
  status(): NetworkStatus
  /** IP addresses at which we are connected to a peer, without those of relays. */
  remoteAddresses(peer: string): string[]
  /** Ends all connections to a peer. */
  disconnect(peer: string): Promise<void>
  /** Gives up all connections to a peer at once: it does not answer any more. */
  drop(peer: string): void
  /** Refuses a peer from now on and ends its connections. */
  block(peer: string): Promise<void>
  /** Takes a {@link block} back; the peer may connect again. */
  unblock(peer: string): void
  /** Who is refused for a while since it misbehaved: peers, and addresses of peers. */
  bans(): Ban[]
  /** What others did against good manners since the start, and how often somebody was refused for it. */
  offences(): MannersCounts

  /**
   * Asks a peer, over the one long-lived stream to it (opened on first use, opened again after a cut).
   * Params and result are checked on both sides.
   *
   * @throws what the peer answered; CONNECT_FAILED, PEER_GONE, PROTOCOL, LIMIT, TIMEOUT
   */
  call<Method extends RpcMethod>(
    peer: string,
    method: Method,
    params: RpcParams<Method>,
    options?: { signal?: AbortSignal; timeoutMs?: number },
  ): Promise<RpcResult<Method>>

  /** Answers a method. One handler per method; a second one replaces the first. */
  handle<Method extends RpcMethod>(
    method: Method,
    handler: (params: RpcParams<Method>, context: { peer: string }) => Promise<RpcResult<Method>>,
  ): void

  /**
   * Opens a framed stream.
   *
   * @throws CONNECT_FAILED, PROTOCOL when the peer does not speak it
   */
  openStream(
    peer: string,
    protocol: string,
    options?: { signal?: AbortSignal },
  ): Promise<FrameStream>

  /**
   * Answers streams of a protocol. When the handler rejects, the stream is aborted; when it resolves,
   * our direction is closed and what the peer still sends is dropped.
   */
  handleStream(
    protocol: string,
    handler: (stream: FrameStream, context: { peer: string }) => Promise<void>,
  ): Promise<void>

  /** Tells the network about our offer now, and again for as long as it stands. */
  publishOffer(offer: Offer): Promise<void>
  /** Says goodbye, and nothing more. Closing the network does it, too. */
  withdrawOffer(): Promise<void>
  /** Offers believed now, of others: signed by them, heard by gossip or learned by asking. */
  offers(): Offer[]
  /** How long ago the offer of a peer was announced, ms; undefined when none is believed. */
  offerAge(peer: string): number | undefined
  /**
   * Asks a peer which hosts it knows; any peer answers. What their hosts have signed is believed, and told
   * as `'offer'` and `'offer:gone'`.
   *
   * @throws PROTOCOL, CONNECT_FAILED, PEER_GONE, TIMEOUT
   */
  askOffers(peer: string, options?: AskOffersOptions): Promise<AskedOffers>
  /** Connects to a peer that a believed offer says where to find. @throws CONNECT_FAILED */
  connectTo(peer: string, options?: { signal?: AbortSignal }): Promise<void>

  /** Round-trip time to a peer, ms. */
  ping(peer: string, options?: { signal?: AbortSignal }): Promise<number>

  close(): Promise<void>
}

/** What a peer counts of its part in a network. */
export interface NetworkStatus {
  /** Hosts of which an offer is believed. */
  offersKnown: number
  /** Bytes over all connections since the start, without bulk data on sockets beside them. */
  bytesIn: number
  bytesOut: number
  /**
   * Announcements since the start: those that were told, heard and taken, known already, and refused as
   * malformed or forged. Absent without gossip.
   */
  gossip?: { told: number; taken: number; known: number; bad: number }
}

/** How the connection beneath a stream runs. Both ends see the same connection. */
export interface PeerRoute {
  /** `relayed`: over a third peer. */
  kind: 'direct' | 'relayed'
  /** The third peer. */
  relay?: string
  /** Whether the relay lets no artifacts through, or little. */
  limited?: boolean
  /** Whether this side made the connection: the way to the peer is known to work. */
  dialed: boolean
  /** Where the peer is, when the connection is plain TCP; else there is no other way to it. */
  remoteHost?: string
  /** Which of the hosts that we listen on the peer can reach. */
  ownHost?: string
}

/**
 * A stream of frames with back-pressure of its own: at most `LIMITS.streamCreditBytes` wait in memory
 * before the reader has taken them, whatever the layers below buffer. Frames arrive whole and in order.
 */
export interface FrameStream extends AsyncIterable<Uint8Array> {
  readonly peer: string
  /** The connection beneath; undefined when nothing is known of it. */
  readonly route?: PeerRoute
  /**
   * Sends one frame (≤ `LIMITS.streamFrameBytes`). Resolves when there is room for another, so that
   * awaiting it is back-pressure. The bytes must not be changed afterwards.
   *
   * @throws FRAME_TOO_LARGE, PEER_GONE
   */
  send(frame: Uint8Array): Promise<void>
  /** The next frame, or undefined at the end. One reader. @throws PEER_GONE when cut */
  next(): Promise<Uint8Array | undefined>
  /**
   * Gives the memory of a frame from {@link next} back for the next ones. Never needed; it spares a
   * bulk reader one allocation per frame. The caller must not look at the frame again.
   */
  recycle?(frame: Uint8Array): void
  /** No more frames from us; the other direction stays open. Resolves when all is handed over. */
  close(): Promise<void>
  /** Ends both directions at once. */
  abort(reason?: unknown): void
}

/** Where a library reports what nobody asked for. Silent by default. */
export interface Logger {
  debug(message: string, fields?: Record<string, unknown>): void
  warn(message: string, fields?: Record<string, unknown>): void
}
