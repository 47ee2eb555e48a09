/** How much of something. */
export interface GcAmount {
  artifacts: number
  files: number
  bytes: number
}

/** What stays, and why: `'results that wait for their client'`. */
export interface GcKept extends GcAmount {
  reason: string
}

/** What was found in one room. */
export interface GcSection {
  /** `'artifacts'`, `'images'`. */
  room: string
  /** What went, or would go. */
  removed: GcAmount
  kept: GcKept[]
}

/** What tidying up came to. */
export interface GcReport {
  /** Nothing was changed. */
  dryRun: boolean
  sections: GcSection[]
}

export interface GcOptions {
  /** Only says what would go. */
  dryRun?: boolean
  /**
   * Most bytes of what is kept for later jobs, in each room; least recently used goes first. Omitted: what
   * the rooms keep anyway.
   */
  keepBytes?: number
  signal?: AbortSignal
}

/**
 * Something that keeps data for later beside the store of artifacts, such as a runtime's images, and can
 * be told to let go of what nobody needs.
 */
export interface GcRoom {
  /** As in {@link GcSection.room}. */
  readonly room: string
  /** Never touches what is in use. With `dryRun` nothing changes. */
  collectGarbage(options: GcOptions): Promise<GcSection>
}

/** Asks every room, one after the other. */
export async function collectGarbage(
  rooms: Iterable<GcRoom>,
  options: GcOptions = {},
): Promise<GcReport> {
  const sections: GcSection[] = []
  for (const room of rooms) {
    options.signal?.throwIfAborted()
    sections.push(await room.collectGarbage(options))
  }
  return { dryRun: options.dryRun ?? false, sections }
}
