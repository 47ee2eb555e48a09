import { isIP } from 'node:net'
import type { Connection } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { PeerRoute } from './network.ts'
import { relayOfAddress } from './reach/connection-rank.ts'

const HOST_KINDS = new Set(['ip4', 'ip6', 'dns', 'dns4', 'dns6'])

/** The host of a plain TCP address; undefined for websockets, relays and everything else. */
export function plainTcpHost(address: Multiaddr): string | undefined {
  const [host, port, peer, ...more] = address.getComponents()
  if (host === undefined || !HOST_KINDS.has(host.name) || port?.name !== 'tcp') return undefined
  if (more.length > 0 || (peer !== undefined && peer.name !== 'p2p')) return undefined
  return host.value
}

/** The IP address of a peer that we are connected to without a relay. */
export function directHost({ remoteAddr }: Pick<Connection, 'remoteAddr'>): string | undefined {
  const [host, ...more] = remoteAddr.getComponents()
  if (host === undefined || more.some(({ name }) => name === 'p2p-circuit')) return undefined
  return host.value !== undefined && isIP(host.value) !== 0 ? host.value : undefined
}

/** How a connection runs, seen from here. @param listening - hosts of the plain TCP addresses of ours */
export function routeOf(connection: Connection, listening: readonly string[]): PeerRoute {
  const remoteHost = plainTcpHost(connection.remoteAddr)
  const relay = relayOfAddress(connection.remoteAddr)
  const limited = connection.limits !== undefined
  return {
    kind: relay !== undefined || limited ? 'relayed' : 'direct',
    ...(relay === undefined ? {} : { relay }),
    ...(limited ? { limited } : {}),
    dialed: connection.direction === 'outbound',
    remoteHost,
    ownHost: remoteHost === undefined ? undefined : reachableHost(remoteHost, listening),
  }
}

/** Which of the hosts we listen on a peer can reach that has already connected to one of them. */
export function reachableHost(remote: string, listening: readonly string[]): string | undefined {
  const family = isIP(remote)
  const same = listening.filter((host) => isIP(host) === family)
  const wildcard = same.find((host) => host === '0.0.0.0' || host === '::')
  return wildcard ?? same.find((host) => isLoopback(host) === isLoopback(remote)) ?? same[0]
}

const isLoopback = (host: string): boolean => host === '::1' || host.startsWith('127.')
