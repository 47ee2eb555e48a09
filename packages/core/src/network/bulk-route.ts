import { isIP } from 'node:net'
import type { Connection } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'

const HOST_KINDS = new Set(['ip4', 'ip6', 'dns', 'dns4', 'dns6'])

/** The host of a plain TCP address; undefined for websockets, relays and everything else. */
export function plainTcpHost(address: Multiaddr): string | undefined {
  const [host, port, peer, ...more] = address.getComponents()
  if (host === undefined || !HOST_KINDS.has(host.name) || port?.name !== 'tcp') return undefined
  if (more.length > 0 || (peer !== undefined && peer.name !== 'p2p')) return undefined
  return host.value
}

/** Where the peer of a direct TCP connection is. */
export function hostOf(connection: Connection): string | undefined {
  // A limited connection goes over a relay that does not want bulk.
  return connection.limits === undefined ? plainTcpHost(connection.remoteAddr) : undefined
}

/** Which of the hosts we listen on a peer can reach that has already connected to one of them. */
export function reachableHost(remote: string, listening: readonly string[]): string | undefined {
  const family = isIP(remote)
  const same = listening.filter((host) => isIP(host) === family)
  const wildcard = same.find((host) => host === '0.0.0.0' || host === '::')
  return wildcard ?? same.find((host) => isLoopback(host) === isLoopback(remote)) ?? same[0]
}

const isLoopback = (host: string): boolean => host === '::1' || host.startsWith('127.')
