import type { MultiaddrConnection } from '@libp2p/interface'
import { LIMITS } from '../../limits.ts'
import { TokenBucket } from './token-bucket.ts'

/** One connection, from its first byte to its last. */
export interface Guest {
  connection: MultiaddrConnection
  /** What counts as its address; undefined behind a relay. */
  address: string | undefined
  inbound: boolean
  /** Monotonic, ms. */
  since: number
  /** Known once it has proved who it is. */
  peer: string | undefined
  /** Turns of the door's clock that its handshake has taken: a stall of ours is not held against it. */
  turns: number
  /** Already told off for how it ends. */
  blamed: boolean
}

/** What one peer does, over all of its connections. */
export class PeerPace {
  readonly guests = new Set<Guest>()
  /** Whether it ever said something that could be read. */
  spoke = false
  readonly requests: TokenBucket
  readonly requestBytes: TokenBucket
  readonly streams: TokenBucket
  /** Bytes of its frames that are in our memory. */
  held = 0

  constructor(now: () => number) {
    this.requests = new TokenBucket(LIMITS.requestsPerSecond, LIMITS.requestsPerSecond, now)
    const { requestRateBytes } = LIMITS
    this.requestBytes = new TokenBucket(requestRateBytes, 2 * requestRateBytes, now)
    this.streams = new TokenBucket(LIMITS.streamsPerSecond, 2 * LIMITS.streamsPerSecond, now)
  }
}
