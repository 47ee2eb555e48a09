import { hash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { type ExportedImage, LIMITS, ManyhandsError, readImageConfig } from '@manyhands/core'
import { type ArchiveEntry, archiveEntries } from './archive-entries.ts'
import { IMAGE_LIMITS } from './image-limits.ts'
import { takeLayer } from './layer-intake.ts'

export interface ArchiveWish {
  /** For messages: what the image is called. */
  reference: string
  /** The image's id where the engine names images so; else undefined. */
  id: string | undefined
  diffIds: readonly string[]
  wanted: ReadonlySet<string>
  /** Where files of layers go. */
  dir: string
  signal?: AbortSignal
  onProgress?: (bytes: number) => void
}

/**
 * Reads the archive of one image as engines export it: Docker's layout of all versions, and OCI's.
 * A layer is what has a layer's digest, whatever it is called and wherever links point, so names are
 * needed for the manifest and the configuration alone.
 *
 * @throws IMAGE_INVALID naming what is missing or wrong, DISK_FULL, the signal's reason. Then no file
 *   is left.
 */
export async function readImageArchive(
  archive: AsyncIterable<Uint8Array>,
  wish: ArchiveWish,
): Promise<ExportedImage> {
  const what = `image ${wish.reference}: its export`
  const layers: ExportedImage['layers'] = new Map()
  const small = new SmallFiles(what)
  try {
    const limits = { what, entries: IMAGE_LIMITS.archiveEntries }
    for await (const entry of archiveEntries(archive, limits)) {
      wish.signal?.throwIfAborted()
      if (entry.type === 'file') await takeFile(entry, wish, layers, small)
      else if (entry.type === 'device' || entry.type === 'fifo') {
        throw new ManyhandsError('IMAGE_INVALID', `${what} has a ${entry.type}`)
      }
    }
    for (const diffId of wish.wanted) {
      if (layers.has(diffId)) continue
      throw new ManyhandsError('IMAGE_INVALID', `${what} lacks the layer ${diffId}`)
    }
    return { config: configOf(small, wish, what), layers }
  } catch (error) {
    for (const { path } of layers.values()) await rm(path, { force: true })
    wish.signal?.throwIfAborted()
    throw error
  }
}

async function takeFile(
  entry: ArchiveEntry,
  { wanted, diffIds, dir, reference, signal, onProgress }: ArchiveWish,
  layers: ExportedImage['layers'],
  small: SmallFiles,
): Promise<void> {
  const named = `sha256:${/^blobs\/sha256\/([0-9a-f]{64})$/.exec(entry.name)?.[1]}`
  // Its name says that it is here already. Were that a lie, nothing would be taken for it.
  if (diffIds.includes(named) && !wanted.has(named)) return
  let body: AsyncIterable<Uint8Array> = entry.body
  if (entry.size <= IMAGE_LIMITS.archiveFileBytes) {
    const bytes = await small.take(entry)
    body = onePiece(bytes)
  }
  const what = `image ${reference}: its export`
  const taken = await takeLayer(body, entry.size, { dir, what, signal, onWritten: onProgress })
  if (wanted.has(taken.diffId) && !layers.has(taken.diffId)) {
    layers.set(taken.diffId, { path: taken.path, size: taken.size })
  } else await rm(taken.path, { force: true })
}

/** Files that may be the manifest or the configuration, by name. */
class SmallFiles {
  readonly #what: string
  readonly #files = new Map<string, Uint8Array>()
  #bytes = 0

  constructor(what: string) {
    this.#what = what
  }

  async take({ name, body, size }: ArchiveEntry): Promise<Uint8Array> {
    const pieces: Uint8Array[] = []
    for await (const piece of body) pieces.push(piece.slice())
    const bytes = Buffer.concat(pieces, size)
    this.#bytes += size
    if (this.#bytes > IMAGE_LIMITS.archiveFilesBytes) {
      throw new ManyhandsError('IMAGE_INVALID', `${this.#what} has too many small files`)
    }
    this.#files.set(name, bytes)
    return bytes
  }

  get(name: string): Uint8Array | undefined {
    return this.#files.get(name)
  }
}

function configOf(small: SmallFiles, { id, diffIds, reference }: ArchiveWish, what: string) {
  const refuse = (why: string, cause?: unknown) =>
    new ManyhandsError('IMAGE_INVALID', `${what} ${why}`, { cause })
  const manifest = small.get('manifest.json')
  if (manifest === undefined) throw refuse('has no manifest.json')
  let path: string
  try {
    path = configPath(JSON.parse(Buffer.from(manifest).toString('utf8')))
  } catch (cause) {
    throw refuse('has a manifest.json that is none of one image', cause)
  }
  const config = small.get(path)
  if (config === undefined || config.length > LIMITS.imageConfigBytes) {
    throw refuse('has no configuration of a size that is taken')
  }
  const facts = readImageConfig(config, reference)
  if (facts.diffIds.join() !== diffIds.join()) throw refuse('is that of another image')
  const own = `sha256:${hash('sha256', config, 'hex')}`
  if (id !== undefined && own !== id) throw refuse(`has the configuration of ${own}, not of ${id}`)
  return config
}

/** Of a manifest with exactly one image. */
function configPath(manifest: unknown): string {
  const [image, ...more] = manifest as [{ Config?: unknown }?, ...unknown[]]
  if (more.length === 0 && typeof image?.Config === 'string') return image.Config
  throw new ManyhandsError('IMAGE_INVALID', 'expected one image with a Config')
}

async function* onePiece(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
