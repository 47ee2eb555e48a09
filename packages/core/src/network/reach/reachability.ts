/** What a relay carries now, and has carried. */
export interface RelayLoad {
  /** Whether artifacts may go through it. */
  bulk: boolean
  /** Peers that may be reached over it now. */
  reservations: number
  /** Circuits that are open. */
  circuits: number
  /** Since it was started: circuits that were made, those refused for lack of room, bytes carried. */
  carried: { circuits: number; refused: number; bytes: number }
}

/** From where a peer can be reached at an address. */
export type AddressScope = 'public' | 'local' | 'computer' | 'relayed'

/** One way to this peer. */
export interface ReachableAddress {
  address: string
  /**
   * `public`: from everywhere, when nothing is in between; `local`: from networks like ours; `computer`:
   * from this computer alone; `relayed`: over another peer.
   */
  scope: AddressScope
  /** What peers found that tried: `unknown` when none that could tell has tried. */
  state: 'reachable' | 'unreachable' | 'unknown'
  /** The peers that tried last. */
  by: string[]
  /** What came of it, when it did not work. */
  why?: string
  /** A router passes on what comes there. */
  mapped?: boolean
}

/** A relay, as the peer sees it that wants to be reached over it. */
export interface UsedRelay {
  /** Its peer id; of one that was named and never met its address. */
  relay: string
  state: 'reserved' | 'trying' | 'waiting'
  /** Why there is no reservation. */
  why?: string
}

/** Why this peer is not better to reach, and what its owner can do. */
export interface ReachHint {
  code:
    | 'not-listening'
    | 'this-computer-only'
    | 'behind-nat'
    | 'nobody-asked'
    | 'blocked'
    | 'no-mapping'
    | 'no-relay'
    | 'relay-lost'
  message: string
  todo: string
}

/**
 * How others can reach this peer, best first: `direct` from everywhere, as another one has tried;
 * `local` from its own network; `relayed` over another peer; `outgoing`: others hear of it only where it
 * connects itself, or is asked to by a neighbour; `unknown`: it has addresses that nobody has tried.
 */
export type ReachKind = 'direct' | 'local' | 'relayed' | 'outgoing' | 'unknown'

export interface Reachability {
  kind: ReachKind
  /** In a sentence. */
  summary: string
  addresses: ReachableAddress[]
  relays: UsedRelay[]
  /** What this peer does as a relay for others. */
  relay?: RelayLoad
  hints: ReachHint[]
}
