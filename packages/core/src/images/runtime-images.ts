import type { ImageDocument } from './image-document.ts'

/**
 * What a runtime does with images that travel, where its engine keeps images: the optional part of the
 * runtime contract. The host fetches what `lacking` names and hands it to `load`.
 *
 * Only what was loaded here is ever removed: what the owner has, tags or builds is his.
 */
export interface RuntimeImages {
  /**
   * What the engine knows of an image; undefined when it has none of this id. Cheap: asked for every
   * offer.
   *
   * @param id - `sha256:…` of the configuration
   * @throws RUNTIME_UNAVAILABLE
   */
  find(id: string, options?: { signal?: AbortSignal }): Promise<KnownImage | undefined>
  /**
   * Says that an attempt is about to use an image; from here on it counts as used last. False when the
   * engine does not have it. Whoever calls it is in `collect`'s `inUse` before and until it is done.
   *
   * @throws RUNTIME_UNAVAILABLE
   */
  use(id: string, options?: { signal?: AbortSignal }): Promise<boolean>
  /**
   * Indexes of the layers that have to be given to `load`, as far as the engine tells which it has.
   *
   * @throws UNSUPPORTED for an image of another platform, RUNTIME_UNAVAILABLE
   */
  lacking(image: ImageDocument, options?: { signal?: AbortSignal }): Promise<number[]>
  /**
   * Hands an image to the engine. Every layer is hashed on its way: an engine sees no byte of an
   * image's end before all of it is what its digests say. After it the engine has exactly `image.id`,
   * and keeps it until `collect` takes it.
   *
   * @param files - paths of layers by index
   * @returns false when the engine wants layers that were not given
   * @throws IMAGE_INVALID naming the layer, RUNTIME_UNAVAILABLE, RUNTIME_FAILED, DISK_FULL, the signal's
   *   reason. Then nothing of it is loaded.
   */
  load(
    image: ImageDocument,
    files: ReadonlyMap<number, string>,
    options?: { signal?: AbortSignal },
  ): Promise<boolean>
  /**
   * Removes images that were loaded here, least recently used first, until the rest takes at most
   * `keepBytes`. One that is in use, that a container has, or that the owner gave a name of his own
   * stays.
   *
   * @param options.inUse - asked right before a removal
   * @param options.dryRun - only says what would go
   */
  collect(options: {
    keepBytes: number
    inUse: (id: string) => boolean
    dryRun?: boolean
  }): Promise<CollectedImages>
}

/** What became of images that were loaded here. Layers that several have count once. */
export interface CollectedImages {
  removed: ImageAmount
  /** Those that attempts or containers have. */
  used: ImageAmount
  /** Those that are kept for later. */
  kept: ImageAmount
}

export interface ImageAmount {
  images: number
  bytes: number
}

/** An image that the host's engine has. */
export interface KnownImage {
  /** Names that the engine's owner gave it; none of ours. */
  names: string[]
}
