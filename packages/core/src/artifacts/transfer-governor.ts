/** Into this store, or out of it. */
export type TransferDirection = 'up' | 'down'

/** Asked for every piece of content before it is sent, or before more is received. */
export interface TransferGovernor {
  /**
   * Counts bytes of content that go to a peer or came from it, and tells when they may go on:
   * `undefined` at once (the usual case, without a promise), else when the caps allow it. Who waits is
   * served in turn, by bytes, peer by peer. A piece beyond a second's worth goes whole, and is paid for
   * afterwards.
   *
   * @param bytes - at least 1; what is counted once is not given back
   * @throws TRANSFER_QUOTA (as a rejection) when the day's quota has no room for it; LIMIT when too many
   *   pieces wait already; or the signal's reason
   */
  take(
    direction: TransferDirection,
    peer: string,
    bytes: number,
    signal?: AbortSignal,
  ): Promise<void> | undefined
  /**
   * How much to ask for at once, so that under a low cap many who take turns all see something of it within
   * the time that they wait; undefined: as much as you like.
   */
  lotBytes?(direction: TransferDirection): number | undefined
}

/** What may travel, in bytes and bytes per second. What is undefined is not limited. */
export interface TransferRules {
  upload?: number
  download?: number
  /** For each peer on its own. */
  perPeer?: { upload?: number; download?: number }
  /** Bytes in any 24 hours. */
  daily?: { upload?: number; download?: number }
}

/** Bytes that one peer got and gave. */
export interface PeerTransfer {
  peer: string
  sent: number
  received: number
}

/** What is known of bytes that travelled. */
export interface TransferTotals {
  /** Bytes sent and received since counting began. */
  sent: number
  received: number
  /** Bytes of the last 24 hours. */
  lastDay: { sent: number; received: number }
  /** The quota in force, bytes in 24 hours; undefined: none. */
  daily: { upload?: number; download?: number }
  /** At most 1024 peers, most recently active first. */
  peers: PeerTransfer[]
}

/** Slot of the Unix epoch, bytes sent and received in it; oldest first. This is what is kept, as JSON. */
export type TransferDayDocument = [slot: number, sent: number, received: number][]

/** What outlives a process, as JSON. */
export interface TransferRecord {
  day: TransferDayDocument
  sent: number
  received: number
  peers: PeerTransfer[]
}

/** A governor of which the rules can be changed and the counts be seen. */
export interface LocalTransferGovernor extends TransferGovernor {
  /** Replaces the rules, also for who waits now. */
  setRules(rules: TransferRules): void
  /** In words what of the day's quota is used up; undefined while there is room. Cheap. */
  usedUp(direction: TransferDirection): string | undefined
  /** In words how the day's quota stands. */
  standing(direction: TransferDirection): string
  totals(): TransferTotals
  /** What to keep, and whether anything changed since the last call. */
  record(): TransferRecord
  readonly changed: boolean
}

export interface TransferGovernorOptions {
  rules?: TransferRules
  /** What an earlier process counted. */
  record?: TransferRecord
  /** Wall clock in Unix ms: days are people's days, also over restarts. */
  now?: () => number
  /** Monotonic clock in ms. */
  monotonic?: () => number
}
