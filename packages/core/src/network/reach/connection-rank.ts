import type { Connection } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'

/** How much a way to a peer is worth: new streams take the best one. */
export const RANK = { none: 0, limited: 1, relayed: 2, webrtc: 3, direct: 4 } as const

/** A WebRTC connection has the relay in its address that its two ends met over. */
export const isWebRtc = (address: Multiaddr): boolean =>
  address.getComponents().some(({ name }) => name === 'webrtc' || name === 'webrtc-direct')

/** The relay that what is sent to an address goes over. */
export function relayOfAddress(address: Multiaddr): string | undefined {
  if (isWebRtc(address)) return undefined
  const components = address.getComponents()
  const at = components.findIndex(({ name }) => name === 'p2p-circuit')
  if (at < 0) return undefined
  return components.slice(0, at).findLast(({ name }) => name === 'p2p')?.value
}

export const isRelayed = (address: Multiaddr): boolean =>
  !isWebRtc(address) && address.getComponents().some(({ name }) => name === 'p2p-circuit')

export function rankOf(connection: Pick<Connection, 'remoteAddr' | 'limits' | 'status'>): number {
  const { remoteAddr, limits, status } = connection
  if (status !== 'open') return RANK.none
  if (isWebRtc(remoteAddr)) return RANK.webrtc
  if (limits !== undefined) return RANK.limited
  return isRelayed(remoteAddr) ? RANK.relayed : RANK.direct
}

/** The best of the open connections; of equals the newest: an older one may be dead and not know it. */
export function bestConnection(connections: readonly Connection[]): Connection | undefined {
  let best: Connection | undefined
  for (const connection of connections) {
    const rank = rankOf(connection)
    if (rank > RANK.none && (best === undefined || rank >= rankOf(best))) best = connection
  }
  return best
}
