/**
 * What a peer can do that no honest one does often, and how much it weighs. At `LIMITS.banPoints` a peer
 * is banned, at `LIMITS.addressBanPoints` the address from which it came. Points halve every
 * `LIMITS.offenceHalfLifeMs`.
 */
export const OFFENCES = {
  /** A frame, an envelope or a document of a stream that cannot be read. */
  malformed: 10,
  /** A frame announced beyond its limit, or more sent than was granted. */
  oversize: 25,
  /** A frame of which a few bytes come at a time: it only holds our memory. */
  slow: 25,
  /** Nothing came in time: no handshake, no protocol, no first frame. */
  silent: 5,
  /** A stream that was ended before its first frame. One may be a cut; many are a circle. */
  cut: 0.5,
  /** A stream on which no protocol was agreed. A peer of another version asks for a few. */
  unagreed: 0.5,
  /** A connection that was ended before its handshake was: a port scan, a probe, a circle. */
  dropped: 1,
  /** More streams, connections or requests at once than one peer may have. */
  crowd: 1,
  /** Bytes, frames or requests faster than any honest peer sends them. */
  flood: 5,
  /** It asks and does not read the answers. */
  unread: 50,
  /** Something that is not signed by whom it names. */
  forged: 25,
} as const

export type Offence = keyof typeof OFFENCES
