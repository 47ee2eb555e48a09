import { OFFENCES, type Offence } from './offences.ts'

/** Who is refused for a while, and for what: a peer, or an address. */
export interface Ban {
  peer?: string
  /** An IPv4 address, or the /64 of an IPv6 one. */
  address?: string
  /** The offence that filled the measure. */
  offence: Offence
  /** How often it was banned, this time counted. Each time is twice as long as the one before. */
  times: number
  /** For how much longer, ms. */
  leftMs: number
}

/** What came to be held against others since the start. */
export interface MannersCounts {
  offences: Record<Offence, number>
  bans: number
  /** Connections that were refused or cut since somebody is banned or there was no room. */
  refused: number
}

/** Nobody did anything yet. */
export function noOffences(): MannersCounts {
  const names = Object.keys(OFFENCES) as Offence[]
  const offences = Object.fromEntries(names.map((name) => [name, 0])) as Record<Offence, number>
  return { offences, bans: 0, refused: 0 }
}
