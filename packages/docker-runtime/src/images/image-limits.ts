/** Bounds of what is read from and written to engines when images travel, with their reasons. */
export const IMAGE_LIMITS = {
  /** Entries of an archive that an engine exports: far above 128 layers with three files each. */
  archiveEntries: 4096,
  /** Bytes of one of its files that is no layer and is kept in memory, and of all of them. */
  archiveFileBytes: 1024 * 1024,
  archiveFilesBytes: 16 * 1024 * 1024,
  /** Bytes of an extended header: as many as the engines' own reader takes. */
  extendedHeaderBytes: 1024 * 1024,
  /** Entries of one layer: above what image builders make of a whole distribution. */
  layerEntries: 4_000_000,
  /**
   * What a compressed layer may grow to: so many times its size, which is what gzip makes of zeros, and a
   * spare part for small ones; never beyond the size of any layer.
   */
  inflateRatio: 1100,
  inflateSpareBytes: 64 * 1024 ** 2,
  layerBytes: 64 * 1024 ** 3,
  /** An export ends at the latest at so many times of what the engine says that the image takes. */
  archiveRatio: 4,
  archiveSpareBytes: 1024 ** 3,
  /** An engine that sends nothing for this long is given up; before the first byte it may write the
   * whole image to its own disk, ms. */
  stallMs: 600_000,
  /** Images of an engine that are looked at to know which layers it has. */
  imagesLookedAt: 2048,
  /** Images that are remembered as loaded by us; older ones are left to the engine's owner. */
  imagesRemembered: 4096,
} as const
