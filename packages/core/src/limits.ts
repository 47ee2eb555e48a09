/**
 * Every limit of the project in one place, with its reason. docs/limits.md is the same list for people.
 * A limit without an option to change it is here because changing it would break a promise.
 */
export const LIMITS = {
  /** Bytes of one RPC frame. Larger documents travel as artifacts. */
  rpcFrameBytes: 4 * 1024 * 1024,
  /** Requests that one peer may have open on us at once; the next one is answered LIMIT. */
  rpcPendingPerPeer: 1024,
  /** Streams of one protocol that one peer may open to us at once: one per job, and some to spare. */
  streamsPerPeer: 288,
  /** Bytes of one frame on an event or bulk stream. */
  streamFrameBytes: 1024 * 1024,
  /** Bytes in flight on one stream before the receiver has to grant more. */
  streamCreditBytes: 8 * 1024 * 1024,
  /** Addresses of one peer that another one tells, and the length of one. */
  addressesPerPeer: 8,
  addressBytes: 512,
  /** Addresses that were named here or found good, and are dialed without another look. */
  namedAddresses: 1024,
  /** How far a peer's clock may be from ours before it is told to people, ms. */
  clockSkewMs: 30_000,
  /** How long a peer may take to send the first frame of a stream, ms. */
  streamHeaderMs: 10_000,
  /** How long an RPC may take when its caller names no other time, ms. */
  rpcTimeoutMs: 30_000,
  /** How long a dial may take, ms. */
  dialTimeoutMs: 10_000,
  /** Connections from all peers at once. */
  connections: 2048,
  /** Connections from one address at once: of the above, some are left for others. */
  connectionsPerAddress: 1536,
  /** Connections of one peer at once: one, and those that both sides make at the same moment. */
  connectionsPerPeer: 16,
  /** Handshakes under way at once, and from one address; a whole network may come back in one moment. */
  upgrades: 1536,
  upgradesPerAddress: 1024,
  /** How long a whole handshake may take, and when its first bytes must be there, ms. */
  upgradeMs: 10_000,
  firstBytesMs: 3_000,
  /** How long a stream may take to agree on its protocol, ms, and bytes that it may send until then. */
  agreeMs: 4_000,
  agreeBytes: 16 * 1024,
  /** Streams of one connection that have not agreed on a protocol yet. */
  unagreedStreams: 512,
  /** Streams that one peer may open per second, and twice as many at once. */
  streamsPerSecond: 2000,
  /** Requests of one peer per second; honest clients send batches. */
  requestsPerSecond: 20_000,
  /** Bytes of requests of one peer per second, and twice as many at once. */
  requestRateBytes: 32 * 1024 * 1024,
  /** A frame that has been coming for so long, ms, and with fewer bytes per second, is an attack. */
  slowFrameMs: 3_000,
  frameBytesPerSecond: 64,
  /** Bytes of frames that came in part, or whole and were not taken yet: of one peer, and of all. */
  peerHeldBytes: 32 * 1024 * 1024,
  heldBytes: 128 * 1024 * 1024,
  /** Bytes that wait for a peer that does not read; more, and its connection ends. */
  unreadBytes: 64 * 1024 * 1024,
  /** Points at which a peer is banned, and an address; what gives how many is told in the protocol. */
  banPoints: 100,
  addressBanPoints: 500,
  /** Half of what is held against somebody is forgotten in this time, ms. */
  offenceHalfLifeMs: 60_000,
  /** After this time without a ban the next one is a first one again, ms. */
  banForgottenMs: 86_400_000,
  /** Peers, and addresses, against which something is held; of more the oldest are forgotten. */
  standings: 4096,
  /** Relays at which a peer that cannot be reached holds reservations at a time, and those it knows. */
  relaysPerPeer: 3,
  relaysKnown: 256,
  /** Peers that may be reached over one relay, and those of them that come from one address. */
  relayReservations: 128,
  relayReservationsPerAddress: 64,
  /** How long a reservation holds without being renewed, ms. */
  relayReservationMs: 900_000,
  /** Circuits of one relay, in all and of one peer. */
  relayCircuits: 512,
  relayCircuitsPerPeer: 128,
  /** How long a circuit lasts, ms, and what it carries where artifacts may not go through. */
  relayCircuitMs: 3_600_000,
  relayCircuitBytes: 16 * 1024 * 1024,
  /** Bytes per second of all circuits of a relay together. */
  relayRateBytes: 8 * 1024 * 1024,
  /** An artifact that goes over a relay which allows none, as an event would. */
  relayedArtifactBytes: 256 * 1024,
  /** How often peers are asked again whether our addresses work, ms. */
  probeEveryMs: 600_000,
  /** Neighbours that are asked to have a peer call back which cannot be dialed. */
  neighboursAsked: 3,
  /** Peers that are called back, or whose addresses are tried, at a time, and in a minute. */
  callbacksAtOnce: 8,
  callbacksPerMinute: 120,
  /** …for one peer, and for one that passes on what others want. */
  callbacksPerPeer: 6,
  callbacksPerNeighbour: 30,
  /** Offers remembered; the oldest are forgotten first. */
  offers: 10_000,
  /** Offers in one answer to `offer.list`. */
  offersPerAnswer: 1000,
  /** How long an offer is believed without news when it does not say, and at most, ms. */
  offerTtlMs: 180_000,
  offerTtlMostMs: 3_600_000,
  /** Peers found on the local network that are dialed unasked: those know the others. */
  lanPeers: 32,
  /** Bytes of announcements in one answer to `offer.page`. */
  offerPageBytes: 1024 * 1024,
  /** How long an answer to `offer.page` may wait for news, ms: well below the time of a call. */
  offerWaitMs: 20_000,
  /** Members of a private network, those that were revoked included, and uses of one invite. */
  networkMembers: 10_000,
  /** Characters of an invite, of the name of a network, of what people call a member, of why it was revoked. */
  inviteCharacters: 8192,
  networkNameCharacters: 64,
  memberLabelCharacters: 64,
  revocationReasonCharacters: 200,
  /** Addresses in an invite, and those of members that are remembered for later starts. */
  inviteAddresses: 16,
  addressesRemembered: 32,
  /** Peers of one member that are remembered, the latest ones. */
  peersPerMember: 16,
  /** How long a peer of a private network may take to knock, and then to prove its membership, ms. */
  knockMs: 3_000,
  proofMs: 5_000,
  /** Bytes of what a peer shows to prove its membership, and documents in it. */
  proofBytes: 256 * 1024,
  proofChain: 48,
  /** Bytes of one document about members: a revocation may name others that stay. */
  rosterDocumentBytes: 512 * 1024,
  /** Documents, their names and peers of members in one call. */
  rosterDocumentsPerCall: 64,
  rosterIdsPerCall: 4096,
  rosterPeersPerCall: 1024,
  /** Attempts in one offer call: bounds the frame and the time a host needs to answer. */
  attemptsPerOffer: 256,
  /** Receipts under one signature: bounds how long the way of each to the root is. */
  receiptsPerBatch: 256,
  /** Bytes of one gossiped offer. */
  offerBytes: 16 * 1024,
  /** Bytes of an encoded manifest: a tree of about a million small files, or 170 GiB of large ones. */
  manifestBytes: 64 * 1024 * 1024,
  /** Files and directories of one artifact. */
  entriesPerArtifact: 1_000_000,
  /** Bytes of one path inside an artifact, and of one of its names. */
  pathBytes: 1024,
  nameBytes: 255,
  /** Bytes of one chunk but a file's last: below, manifests would outgrow what they save. */
  chunkMinBytes: 64 * 1024,
  /** Bytes of one chunk: small enough to verify and resume. */
  chunkMaxBytes: 1024 * 1024,
  /**
   * Least bytes per second that a transfer may be held to: below, a frame would take so long that the
   * other side takes it for a stall.
   */
  transferRateBytes: 64 * 1024,
  /** Layers of an image that travels: what Docker's engines take. */
  imageLayers: 128,
  /** Bytes of an image's configuration, of the document that describes it, and of its name. */
  imageConfigBytes: 1024 * 1024,
  imageDocumentBytes: 2 * 1024 * 1024,
  imageNameBytes: 512,
  /** Tasks that a function makes of a range before the job counts as taken; longer ranges are read on. */
  tasksBeforehand: 250_000,
  /** Items of one range text. */
  itemsPerRange: 100_000_000,
  /** Items that are split by items, bytes of them as JSON, and how many one task gets at most. */
  itemsPerSplit: 1_000_000,
  itemBytesPerSplit: 256 * 1024 * 1024,
  itemsPerPart: 65_536,
  /** Bad numbers of a split job that are looked for by halving; then a part that fails is failed whole. */
  badNumbersSought: 32,
  /** argv entries, environment entries, inputs, output globs of one task. */
  argvEntries: 4096,
  envEntries: 1024,
  inputsPerTask: 1024,
  outputsPerTask: 256,
  /** Hosts that an input names as having it. */
  holdersPerInput: 4,
  /** Hosts that are told at once what another one may have of a client's results there. */
  sharesPerCall: 1024,
  /** Hosts that may have one artifact of a host's results; the latest ones. */
  peersPerShare: 256,
  /** Tasks that one task may need. */
  needsPerTask: 10_000,
  /** Secrets of one job, and bytes of all of them together. */
  secretsPerJob: 64,
  secretBytes: 64 * 1024,
  /** Bytes of argv or environment together. */
  argvBytes: 128 * 1024,
  /** Bytes of stdout and of stderr that a result carries (the last ones). */
  outputTailBytes: 16 * 1024,
  /** Bytes of stdout and of stderr that a host keeps of one attempt. */
  logBytes: 1024 * 1024,
  /** Files of one attempt that travel while it runs, repeats counted; the rest comes at its end. */
  outputsStreamed: 10_000,
  /** Files that one attempt event names: bounds its frame. */
  outputsPerEvent: 128,
  /** Events, and their bytes, that a log keeps for a reader that is late; then it gets a gap marker. */
  eventsBuffered: 20_000,
  eventBytesBuffered: 8 * 1024 * 1024,
  /** Least time between two words on how far something is, of an attempt or of a job, ms. */
  progressMs: 250,
  /** Tasks that a job's progress lists one by one; all are in its counts. */
  activeTasksListed: 1000,
  /** Jobs that a client holds in memory after they ended; of others it reads in its journal. */
  jobsRemembered: 256,
  /** Jobs that a client lists, the newest ones. */
  jobsListed: 1000,
  /** Attempts that one client may hold at one host. */
  attemptsPerClient: 4096,
  /** Jobs of one client that a host tells about at once. */
  jobsPerClient: 256,
  /** Jobs that changed hands and of which a host remembers whose they are: in all, and of one client. */
  jobsClaimed: 4096,
  jobsClaimedPerClient: 256,
  /** Inputs of attempts that the answer to a claim tells of, bytes as they are encoded. */
  claimedInputBytes: 1024 * 1024,
  /** Tasks that an owner key tells of, and bytes of the text. */
  tasksPerOwnerKey: 250_000,
  ownerKeyBytes: 64 * 1024 * 1024,
  /** Ended attempts of a job with an owner key that a host keeps at its client's wish, the latest ones. */
  endsKeptPerHost: 1024,
  /** Clients that the owner of a host blocks one by one. */
  blockedClients: 65_536,
  /** Tasks that may follow each other in one warm sandbox, and how many do when a job does not say. */
  tasksPerSandbox: 100_000,
  tasksPerSandboxUsual: 1000,
  /** How long a warm sandbox waits for its job's next task, ms. */
  warmIdleMs: 10_000,
  /** Least time from one checkpoint of a task to the next, ms. */
  checkpointEveryMs: 1_000,
  /** Bytes and files of one checkpoint. */
  checkpointBytes: 8192 * 1024 * 1024,
  checkpointFiles: 10_000,
  /** How long a task that is sent away is kept for its last checkpoint, ms. */
  checkpointLastMs: 5_000,
  /** Least rate at which a last checkpoint is waited for by its task, beside the time above; bytes a second. */
  checkpointBytesPerSecond: 128 * 1024,
  /** Attempts that begin with a checkpoint and fail without another one; then it is dropped. */
  checkpointStarts: 2,
  /** Times a task may end with the code that asks to be continued. */
  continuationsPerTask: 1000,
  /** Checkpoints that the timeline of an attempt names, the latest ones. */
  checkpointsListed: 64,
  /** Times a task is sent out before it is given up, whoever's fault the ends were. */
  dispatchesPerTask: 20,
  /** Distinct host deaths after which a task counts as poison. */
  poisonHosts: 3,
  /** Results of one task, each of another host, that are compared; then it is disputed. */
  resultsCompared: 5,
  /** Files of one result that a comparator reads, bytes of one of them, of a text, and of JSON. */
  comparedFiles: 1000,
  comparedFileBytes: 64 * 1024 * 1024,
  comparedTextBytes: 32 * 1024 * 1024,
  comparedJsonBytes: 8 * 1024 * 1024,
  /** Levels of a JSON document that is compared. */
  comparedJsonDepth: 256,
  /** Pixels of an image that is compared, and its bytes when it is unpacked. */
  comparedPixels: 2 ** 25,
  comparedPixelBytes: 192 * 1024 * 1024,
  /** Bytes of all files that a page in a browser holds, in memory: what is beyond fails as on a full disk. */
  browserFilesBytes: 1024 * 1024 * 1024,
} as const
