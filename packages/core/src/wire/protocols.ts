/**
 * Versions of the protocol as a whole. A peer speaks the newest and the one before it, and two peers take
 * the newest that both speak.
 *
 * 1: the first one. 2: `hello` tells versions and clocks.
 */
export const PROTOCOL_VERSIONS = { newest: 2, oldest: 1 } as const

/** Protocol names on the wire. A change that an old peer cannot read gets a new number. */
export const PROTOCOLS = {
  /** One long-lived stream per pair of peers: requests and answers in both directions. */
  rpc: '/manyhands/rpc/2',
  /** One per job and host, opened by the client: attempt events. */
  events: '/manyhands/events/1',
  /** Asks for a socket for bulk data beside the connection. */
  bulk: '/manyhands/bulk/1',
  /** Opened by the receiver: an artifact's manifest and news of it, or its content. */
  artifacts: '/manyhands/artifacts/2',
  /** Topic of signed offers. */
  offers: 'manyhands/offers/1',
} as const

/** The number in the name of the requests' protocol is that of the whole. */
const RPC = '/manyhands/rpc/'
const OLDER: Record<string, readonly string[]> = {
  [PROTOCOLS.rpc]: [`${RPC}${PROTOCOL_VERSIONS.oldest}`],
}

/** Names under which a protocol is spoken here, the newest first. */
export function namesOf(protocol: string): string[] {
  return [protocol, ...(OLDER[protocol] ?? [])]
}

/** Versions of the whole that a peer speaks, by the names of its protocols, in ascending order. */
export function versionsIn(protocols: readonly string[]): number[] {
  const versions = protocols
    .filter((protocol) => protocol.startsWith(RPC))
    .map((protocol) => Number(protocol.slice(RPC.length)))
  return versions.filter((version) => Number.isInteger(version)).sort((a, b) => a - b)
}
