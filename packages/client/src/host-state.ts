import type { ConnectionKind, Offer } from '@manyhands/core'

/** A host that is known now, and how this client stands to it. */
export interface HostState {
  offer: Offer
  /** How it is connected; absent: it is known by its signed offer alone. */
  connection?: ConnectionKind
  /** Where it is, seen from here. */
  address?: string
  /** How long a word to it and back takes, ms; absent before it was measured. */
  rttMs?: number
  /** How long ago it said what it offers, ms. */
  ageMs: number
  /** Bytes per second that come from it and go to it, lately. */
  bytesInPerSecond: number
  bytesOutPerSecond: number
}
