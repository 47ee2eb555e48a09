/** Bounds of the sockets that bulk data goes over, with their reasons. None of them is on the wire. */
export const BULK = {
  /**
   * From the wish to a socket that speaks, ms; after that the ordinary stream is used. A thread may have to
   * start on either side, on a busy machine.
   */
  setupMs: 5000,
  /** How long a ticket is good, ms: a little longer than its holder tries. */
  ticketMs: 7000,
  /** Tickets that nobody has come with yet, of all peers and of one. */
  tickets: 64,
  ticketsPerPeer: 16,
  /** Sockets beside the connections of one peer, each of which costs a descriptor or two and a frame. */
  lanesPerPeer: 128,
  /** Connections that have not shown a ticket yet; a flood of strangers ends here. */
  handshakes: 32,
  /** How long the listening socket outlives its last ticket, ms. */
  idleMs: 10_000,
  /** How long a connection beside which no socket could be made is not tried again, ms. */
  retryMs: 60_000,
  hopelessPeers: 1024,
  /** Threads for bulk data; more than two buy nothing as long as the disk is one. */
  threads: 2,
  /** Lanes of one thread before another is started for those of other peers. */
  lanesPerThread: 16,
  threadHeapMiB: 128,
  /** How long a thread outlives its last socket, ms. */
  threadIdleMs: 10_000,
  /** Niceness: what answers requests comes first. */
  threadPriority: 10,
  /** Bytes of frames that came and were not taken, beyond which reading stops. */
  queueBytes: 2 * 1024 * 1024,
  /** One read of a socket. */
  readBytes: 64 * 1024,
  /** What a socket takes before send() waits; less than one frame, so that none is copied to wait. */
  writeBytes: 128 * 1024,
  /** Memory of one frame that is kept for the next ones: a full one, and its kind. */
  frameMemoryBytes: 256 * 1024 + 1,
  /** Frames whose memory is kept for the next ones. */
  spareFrames: 8,
} as const
