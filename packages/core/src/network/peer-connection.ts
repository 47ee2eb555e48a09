import type { Connection } from '@libp2p/interface'
import { rttOf, type Traffic } from './connection-traffic.ts'
import { relayOfAddress } from './reach/connection-rank.ts'

/**
 * How two peers are connected: `direct` by one dialing the other's address, `reversed` by the other one
 * at our wish since we could not reach it, `webrtc` through both of their NATs, `relayed` over a third
 * member.
 */
export type ConnectionKind = 'direct' | 'reversed' | 'webrtc' | 'relayed'

/** One live connection to a peer. */
export interface PeerConnection {
  peer: string
  kind: ConnectionKind
  /** Where the peer is, seen from here. */
  address: string
  /** The peer that it runs over, when it is relayed. */
  relay?: string
  /** Whether that relay lets no artifacts through, or little. */
  limited?: boolean
  direction: 'inbound' | 'outbound'
  /** For how long it has been open, ms. */
  openMs: number
  /** How long a word over it and back takes, ms; absent before it was measured. */
  rttMs?: number
  /**
   * Bytes that came and went over it, and per second lately. Bulk data on sockets beside it are no part of
   * that; the accounts of transfers have them.
   */
  bytesIn: number
  bytesOut: number
  bytesInPerSecond: number
  bytesOutPerSecond: number
  /** How far the peer's clock is ahead of ours, ms, as it has told; negative: behind. */
  clockAheadMs?: number
}

/** How a connection runs, as its address says; that it was asked for is known to who asked. */
export function kindOf({ remoteAddr }: Pick<Connection, 'remoteAddr'>): ConnectionKind {
  const names = new Set(remoteAddr.getComponents().map(({ name }) => name))
  if (names.has('webrtc') || names.has('webrtc-direct')) return 'webrtc'
  return names.has('p2p-circuit') ? 'relayed' : 'direct'
}

export function peerConnection(
  connection: Connection,
  traffic: Traffic,
  { reversed = false, now = Date.now() }: { reversed?: boolean; now?: number } = {},
): PeerConnection {
  const rttMs = rttOf(connection)
  const { remotePeer, remoteAddr, direction, timeline, limits } = connection
  const kind = kindOf(connection)
  const relay = kind === 'relayed' ? relayOfAddress(remoteAddr) : undefined
  return {
    peer: remotePeer.toString(),
    kind: reversed && kind === 'direct' ? 'reversed' : kind,
    address: remoteAddr.toString(),
    ...(relay === undefined ? {} : { relay }),
    ...(limits === undefined ? {} : { limited: true }),
    direction,
    openMs: Math.max(0, now - timeline.open),
    ...(rttMs === undefined ? {} : { rttMs }),
    ...traffic,
  }
}
