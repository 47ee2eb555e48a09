/**
 * Where a client's images come from when they are no files: an engine of the client's own. The client
 * asks it what a name means, once per job, and for the layers when a host lacks them.
 */
export interface ImageSource {
  /** The runtime whose images it has, such as `docker`. */
  readonly runtime: string
  /**
   * Finds an image by tag or digest. Undefined when the engine has none of that name, or when there is
   * no engine: hosts may have it all the same. Nothing is ever pulled.
   *
   * @throws IMAGE_INVALID for an image that cannot travel; the signal's reason
   */
  resolve(reference: string, options?: { signal?: AbortSignal }): Promise<SourceImage | undefined>
}

/** An image of a client's engine, pinned: a tag that is moved meanwhile changes nothing. */
export interface SourceImage {
  /** The engine's own name for it, which changes with its content. */
  readonly key: string
  /**
   * sha256 of its configuration, `sha256:…`, by which every engine knows it; undefined where this
   * engine has another name for it and only an export tells.
   */
  readonly id: string | undefined
  /** sha256 of each layer's uncompressed tar, lowest first. */
  readonly diffIds: readonly string[]
  /** What it takes in the engine, bytes; about what its layers take as tars. */
  readonly bytes: number
  /**
   * Writes layers as uncompressed tars, each verified against its digest, into files of `dir` with
   * names of their own that begin with `tmp-`. When it rejects, none is left.
   *
   * @param wanted - digests of the layers that are not here yet
   * @throws IMAGE_INVALID for a stream that is none or has other content, RUNTIME_UNAVAILABLE,
   *   RUNTIME_FAILED, DISK_FULL, the signal's reason
   */
  export(
    wanted: ReadonlySet<string>,
    dir: string,
    options?: { signal?: AbortSignal; onProgress?: (bytes: number) => void },
  ): Promise<ExportedImage>
}

/** What an export brought. */
export interface ExportedImage {
  /** The configuration, byte for byte. */
  config: Uint8Array
  /** Paths of the wanted layers, by digest. They are the caller's from here on. */
  layers: Map<string, { path: string; size: number }>
}
