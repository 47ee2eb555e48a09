/** Limits of the wasm runtime, with their reasons. What both sides agree on is in core's LIMITS. */
export const WASM_LIMITS = {
  /** Bytes of a module: a large interpreter fits, and compiling stays a matter of seconds. */
  moduleBytes: 128 * 1024 * 1024,
  /** Compiled modules kept for the next task; the least recently used is forgotten first. */
  modulesCached: 16,
  /**
   * Entries of a module's tables together, also after they have grown: V8 keeps them in the heap of the
   * thread, and a heap that a module fills takes the whole process along.
   */
  tableEntries: 250_000,
  /** What a module may have of each kind, for the same reason; large real ones have a tenth of it. */
  moduleTypes: 4096,
  moduleImports: 1024,
  moduleFunctions: 300_000,
  moduleTables: 64,
  moduleTags: 1024,
  moduleGlobals: 100_000,
  moduleExports: 16_384,
  moduleElementSegments: 16_384,
  moduleDataSegments: 65_536,
  /** Bytes of the section with functions' names; larger ones are left out of the compiled module. */
  moduleNameBytes: 1024 * 1024,
  /** Open descriptors of one task. An open input holds one of the host's own descriptors. */
  descriptors: 256,
  /** Files and directories that one task may have below /out at once. */
  outEntries: 65_536,
  /** Bytes that one entry below /out costs on the disk quota besides its content. */
  outEntryBytes: 512,
  /** Levels of directories below /out or /in. */
  pathDepth: 64,
  /** Buffers of one scattered read or write, and subscriptions of one poll: what IOV_MAX is elsewhere. */
  vectors: 1024,
  /** Bytes of stdout and of stderr between the task and the host; a power of two. */
  outputRingBytes: 256 * 1024,
  /**
   * JavaScript heap of the worker, MiB: well above what all limits on modules and files add up to. A
   * module's memory is not in it.
   */
  heapMiB: 192,
  /** Stack of the worker, MiB: recursion of the module ends here as a trap. */
  stackMiB: 4,
  /** Bytes of a trap's description on stderr. */
  trapBytes: 4096,
  /** How long a worker that was started in advance waits for its task before it is let go, ms. */
  spareIdleMs: 10_000,
} as const
