/** Bounds of one artifact transfer, with their reasons. None of them is on the wire. */
export const TRANSFER = {
  /** Payload of one data frame: larger ones are no faster, smaller ones cost more per byte. */
  frameBytes: 256 * 1024,
  /** Artifacts beyond this get a stream for bulk data, which takes some milliseconds to open. */
  bulkBytes: 8 * 1024 * 1024,
  /** Frames that a sender reads ahead, so that the disk works while the network does. */
  framesAhead: 4,
  /** Bytes that are asked for, and written, as one at most, and how long a peer needs for them at most, ms. */
  batchBytes: 4 * 1024 * 1024,
  batchMs: 50,
  /** Bytes asked for and not yet here; more than one stream's credit, so that it never runs dry. */
  windowBytes: 16 * 1024 * 1024,
  /** Ranges asked for and not yet here: thousands of small files without a round trip each. */
  windowRanges: 2048,
  /** Ranges of one want message. */
  rangesPerWant: 1024,
  /** Bytes received and not yet verified and written. */
  unwrittenBytes: 8 * 1024 * 1024,
  /** Batches received and not yet written; small files wait for the disk together. */
  unwrittenBatches: 64,
  /** One write: from 1 MiB on it can cost five times the processor time, see writeFully. */
  writeBytes: 512 * 1024,
  /** A file of so many bytes is written past the page cache, where the disk can: all must get to the disk anyway. */
  directBytes: 64 * 1024 * 1024,
  /** How far the record of what is here may be behind, ms: a crash costs as much. */
  recordMs: 250,
  /** Written bytes after which the disk is asked to begin: the sync at the end is short then. */
  syncBytes: 256 * 1024 * 1024,
  /** Without `progressBytes` in this time while it waits, a side gives up, ms. */
  stallMs: 30_000,
  progressBytes: 64 * 1024,
  /** How long a peer may take to say what it wants, and to take why it gets nothing, ms. */
  openMs: 10_000,
  /** How long a receiver may think between two wants, its disk may be slow, ms. */
  idleMs: 120_000,
  /** Content that is asked for, and told to others, as one: some chunks of a file, or several files. */
  swarmBlockBytes: 1024 * 1024,
  /** Small files of one block. */
  blockPieces: 256,
  /** Lanes to one peer, when there is as much as this to come of files that are written in parts. */
  lanesPerPeer: 2,
  secondLaneBytes: 64 * 1024 * 1024,
  /** Bytes per second of a peer to which another lane is opened: one alone manages seven times as much. */
  anotherLaneRate: 60_000_000,
  /** Lanes over streams of one peer that keep the memory of their frames for the next ones. */
  lanesWithMemory: 8,
  /** Lanes of one peer that may end in a row without having brought anything. */
  laneTries: 2,
  /** Bytes asked of the owner of what others fetch too: each asks for its own part, in small steps. */
  sharedWindowBytes: 2 * 1024 * 1024,
  /** More of a fast one of which nobody else is known to fetch it: what it gives in this time, ms. */
  sharedWindowMs: 100,
  /** Bytes asked of one that gives little; others are asked for what it gives in two `rescueMs`. */
  leastWindowBytes: 2 * 1024 * 1024,
  /** After so long without news, others' parts are asked for too, and what is late a second time, ms. */
  rescueMs: 2000,
  /** Blocks looked at to find the rarest. */
  blocksWeighed: 2048,
  /** How often it is told what comes from whom, ms. */
  sourceNewsMs: 1000,
  /** Addresses of ours that others are told. */
  addresses: 8,
  /** How long a stream of news may take to end, ms. */
  goodbyeMs: 1000,
  /** How often others are told which blocks came, ms. */
  newsMs: 120,
  /**
   * What a sender looks at as one: it is counted against the owner's limits before it goes. More to a peer that
   * takes it in less than `lotMs`.
   */
  lotBytes: 512 * 1024,
  mostLotBytes: 4 * 1024 * 1024,
  lotMs: 40,
  lotRanges: 256,
  /** Others that fetch the same artifact and are asked for it. */
  swarmPeers: 32,
  /** Others that one transfer meets in all, and how often one that cannot be reached is asked. */
  peersMet: 128,
  askTries: 3,
  /** News in a row that tell nothing new, after which a peer is not listened to any more. */
  idleNews: 1000,
  /** Artifacts of which it is known who fetches them, and peers of one. */
  swarms: 10_000,
  swarmMembers: 1024,
  ticketsPerArtifact: 8,
  /** Files that one lane keeps open. */
  filesOpen: 16,
  /** Files hashed or collected at once. */
  filesAtOnce: 8,
  /** Chunks of one file read and hashed at once. */
  chunksAtOnce: 4,
  /** Bytes of one file read, cut and hashed together, and how many such blocks at once. */
  blockBytes: 2 * 1024 * 1024,
  blocksAtOnce: 3,
  /** Files of which the chunk hashes are remembered, so that adding a tree again is quick. */
  hashesRemembered: 100_000,
  /** Bytes of the file that keeps chunk hashes for the next process: of about 600 GiB of content. */
  hashDatabaseBytes: 256 * 1024 * 1024,
  /** Hashes written into it at once, so that a crash in a large tree loses little. */
  hashesPerSave: 5000,
  /** Chunks of stored files that are found by their hash, 50 bytes of memory each: about 90 GiB. */
  chunksIndexed: 1_000_000,
  /** Decoded manifests kept in memory. */
  manifestsRemembered: 64,
  /** Largest file that is read into memory in one piece. */
  readBytes: 2 * 1024 * 1024 * 1024 - 1,
} as const
