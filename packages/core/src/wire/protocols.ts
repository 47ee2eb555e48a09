/** Protocol names on the wire. A change that an old peer cannot read gets a new number. */
export const PROTOCOLS = {
  /** One long-lived stream per pair of peers: requests and answers in both directions. */
  rpc: '/manyhands/rpc/1',
  /** One per job and host, opened by the client: attempt events. */
  events: '/manyhands/events/1',
  /** Asks for a socket for bulk data beside the connection. */
  bulk: '/manyhands/bulk/1',
  /** Opened by the receiver: an artifact's manifest and news of it, or its content. */
  artifacts: '/manyhands/artifacts/2',
  /** Topic of signed offers. */
  offers: 'manyhands/offers/1',
} as const
