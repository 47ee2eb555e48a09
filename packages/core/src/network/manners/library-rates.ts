/**
 * Bytes per second, and at once, that one connection may send by protocols that are answered below us and
 * hold what comes without a bound of their own.
 */
export const LIBRARY_RATES = [
  /** 32 bytes each. */
  { prefix: '/ipfs/ping/', perSecond: 64 * 1024, burst: 256 * 1024 },
  /** A record of addresses and protocols when something changes. */
  { prefix: '/ipfs/id/', perSecond: 64 * 1024, burst: 512 * 1024 },
  /** All offers of a thousand hosts in a burst, and then again once a minute. */
  { prefix: '/meshsub/', perSecond: 2 * 1024 * 1024, burst: 32 * 1024 * 1024 },
  { prefix: '/floodsub/', perSecond: 64 * 1024, burst: 512 * 1024 },
] as const
