/** Limits of the egress proxy, each for one attempt. */
export const EGRESS_LIMITS = {
  /** Entries of an allow-list. */
  entries: 256,
  /** Connections from the task at once; further ones are closed. */
  connections: 128,
  /** Bytes of the request line and headers. */
  headerBytes: 16 * 1024,
  /** How long the headers may take, ms. */
  headerMs: 10_000,
  /** How long a name may take to resolve, ms. */
  resolveMs: 10_000,
  /** How long a connection to one address may take, ms. */
  connectMs: 10_000,
  /** Addresses of one name that are tried. */
  addresses: 8,
  /** A connection without a byte in either direction is closed after this, ms. */
  idleMs: 300_000,
} as const
