import type { FileHandle } from 'node:fs/promises'
import type { ErrorDocument } from '../errors.ts'
import type { GcAmount, GcOptions, GcSection } from '../gc-report.ts'
import type { Network } from '../network/network.ts'

/** One file of an artifact. */
export interface ManifestFile {
  /** Relative POSIX path, NFC; the empty string when the artifact is a single file. */
  path: string
  size: number
  /** Only the executable bit travels: 0644 or 0755. */
  executable: boolean
  /** sha256 of each chunk, 32 bytes each, concatenated; empty when the file is. */
  chunks: Uint8Array
  /**
   * Bytes of each chunk, four big-endian bytes each, concatenated; absent when there is at most one.
   * They add up to the size. Each is within `LIMITS.chunkMinBytes` and `LIMITS.chunkMaxBytes`; the last
   * one may be shorter.
   */
  lengths?: Uint8Array
}

/**
 * What an artifact consists of. Encoded as DAG-CBOR; its sha256 is the artifact's name, `sha256:…`
 * ("root"). Files are sorted by path; empty directories are listed apart.
 */
export interface Manifest {
  v: 2
  kind: 'file' | 'tree'
  files: ManifestFile[]
  directories: string[]
}

/** One peer that gives content to a transfer. */
export interface TransferSource {
  peer: string
  /**
   * What it comes over: a socket beside the connection, a stream of the connection, or one over a
   * relay, which is the slowest.
   */
  path: 'socket' | 'stream' | 'relay'
  /** Verified bytes so far. */
  bytes: number
  /** Bytes per second since the last time; at the end over all. */
  ratePerSecond: number
  /** Why it gives nothing any more, when it failed. */
  error?: ErrorDocument
}

/** An artifact that this store can give: everything verified, or readable where it came from. */
export interface Artifact {
  root: string
  manifest: Manifest
  /** Bytes of all files. */
  size: number
  /** After {@link ArtifactStore.collect}: the globs that matched nothing. */
  unmatched?: string[]
}

/**
 * Content-addressed files and trees on one peer's disk. Files are kept once per content, whatever
 * artifacts they belong to. Nothing half-received is ever visible under its final name.
 *
 * A store's directory belongs to one process at a time. Holds ({@link retain}) live in memory: a store
 * that is opened again knows none and therefore removes nothing by itself but what is kept. Whoever keeps
 * a journal retains again what it still needs, and may then call {@link gc}.
 */
export interface ArtifactStore extends AsyncDisposable {
  /**
   * Takes a file or tree of the local disk as an artifact, by reference: the bytes stay where they are
   * and are read again when somebody asks for them. When they changed meanwhile, who asks gets
   * INPUT_CHANGED. A file that did not change is not read a second time to be hashed, not by the next
   * process either. References end with the process: call it again after a restart.
   *
   * @throws INPUT_UNREADABLE, INPUT_CHANGED, PATH_UNSAFE (links, special files, names that do not travel), LIMIT
   */
  addPath(path: string, options?: { signal?: AbortSignal; holder?: string }): Promise<Artifact>
  /** Takes bytes as a single-file artifact. @throws DISK_FULL */
  addBytes(bytes: Uint8Array, options?: { holder?: string }): Promise<Artifact>
  /**
   * Takes an open file as a single-file artifact, by copy: others may go on writing to it. It is held
   * for `holder` from the start, see {@link retain}.
   *
   * @throws OUTPUT_UNSAFE when it is no plain file with one name, INPUT_CHANGED when it changed while it
   *   was read, LIMIT when it is larger than `maxBytes`, DISK_FULL
   */
  addFile(
    file: FileHandle,
    options: { holder: string; maxBytes?: number; signal?: AbortSignal },
  ): Promise<Artifact>
  /**
   * Takes a task's output directory as an artifact, moving the files into the store. Only files that
   * match one of `globs` (relative to `dir`, `**` and `*`) are taken. Walks with lstat and O_NOFOLLOW.
   * `unmatched` of the answer names the globs that took nothing. Links and special files that no glob
   * can reach are passed by. After a failure files may be gone from `dir`. With `copy`, for files that
   * somebody may still have open, nothing is moved and all of them stay.
   *
   * @throws OUTPUT_UNSAFE, LIMIT, DISK_FULL
   */
  collect(
    dir: string,
    globs: string[],
    options?: { signal?: AbortSignal; holder?: string; copy?: boolean },
  ): Promise<Artifact>
  /**
   * The file or directory at a path of an artifact that is here, as an artifact of its own, held for
   * `holder`: its bytes are on the disk once. Undefined when there is nothing at the path.
   *
   * @throws ARTIFACT_MISSING
   */
  part(root: string, path: string, holder: string): Promise<Artifact | undefined>
  /** Whether an artifact is here, as far as is known without a look at the disk. */
  has(root: string): boolean
  /** A complete artifact by its root. */
  get(root: string): Promise<Artifact | undefined>
  /**
   * Fetches an artifact from a peer unless it is complete here: only missing files, only missing
   * chunks; verified; a cut transfer goes on where it stopped. Concurrent calls for one root share.
   *
   * A transfer that callers share ends early only when the signals of all of them have fired.
   *
   * @throws ARTIFACT_MISSING, ARTIFACT_CORRUPT, INPUT_CHANGED, CONNECT_FAILED, PEER_GONE, PROTOCOL
   *   (a manifest that is not canonical or has unsafe paths, too), TIMEOUT, LIMIT, DISK_FULL, or the
   *   signal's reason
   */
  fetch(
    root: string,
    from: { network: Network; peer: string },
    options?: {
      signal?: AbortSignal
      /** Refuses artifacts larger than this before any content travels. */
      maxBytes?: number
      /**
       * Bytes received and verified so far by the transfer, and those that have to come in all, once
       * that is known. What was here before does not count; when less is missing than it seemed, the
       * total sinks.
       */
      onProgress?: (bytes: number, total?: number) => void
      /** Hears over what content comes from whom, once a second while it does, and at the end. */
      onSource?: (source: TransferSource) => void
    },
  ): Promise<Artifact>
  /**
   * What an artifact of a peer consists of, verified; none of its content travels and nothing of it stays
   * here. What is here is not asked for.
   *
   * @throws as {@link fetch}
   */
  inspect(
    root: string,
    from: { network: Network; peer: string },
    options?: { signal?: AbortSignal },
  ): Promise<Artifact>
  /**
   * Puts a complete artifact at `target` (a single file at exactly that path, a tree as a directory).
   * `'link'` shares the bytes with the store and is only for places that nobody writes to: files get
   * mode 0444 or 0555. With `'copy'` they are the caller's own, 0644 or 0755. Files that are in the way
   * are replaced; links inside `target` are never followed.
   *
   * @throws ARTIFACT_MISSING, INPUT_CHANGED, PATH_UNSAFE, DISK_FULL
   */
  place(root: string, target: string, mode: 'link' | 'copy'): Promise<void>
  /** One file's bytes of a complete artifact. @throws NOT_FOUND, ARTIFACT_MISSING */
  read(root: string, path: string): Promise<Uint8Array>
  /**
   * Serves this store's artifacts to peers for which `allow` says yes.
   *
   * @param sent - hears of content as it leaves, in bytes
   */
  serve(
    network: Network,
    allow: (peer: string, root: string) => boolean,
    sent?: (root: string, bytes: number, peer: string) => void,
  ): Promise<void>
  /**
   * Holds an artifact: it is not removed until {@link release}; counted by holder. Repeating it for the
   * same holder changes nothing. It may come before the artifact does, and should: between a fetch and
   * a later hold somebody else's release could remove it.
   */
  retain(root: string, holder: string): void
  /**
   * Ends a hold. An artifact that nobody holds any more is removed, unless it is kept, and with it the
   * files that no other artifact has; its by-reference source is forgotten.
   */
  release(root: string, holder: string): Promise<void>
  /**
   * Lets an artifact of this store stay when nobody holds it, as long as there is room: what was used last
   * stays longest, also over restarts. Each call is a use.
   */
  keep(root: string): void
  /** Looks soon whether more is kept than may be; for callers that changed how much that is. */
  settle(): void
  /**
   * Tidies up: removes artifacts that nobody holds or keeps, and what cut transfers left that was not touched
   * for a day; with `keepBytes` also what is kept beyond them, least recently used first. Only for a
   * caller that has retained all it needs. What is held, read or received never goes, whatever the age.
   *
   * @param options.reasonOf - says for people what a holder stands for
   */
  gc(options?: GcOptions & { reasonOf?: (holder: string) => string }): Promise<GcSection>
  /** Removes so many bytes of what is kept, or all of it. Returns what went. */
  makeRoom(bytes: number): Promise<GcAmount>
  /** Bytes and files on disk now, partial ones too. */
  usage(): Promise<{ bytes: number; files: number; artifacts: number }>
  close(): Promise<void>
}
