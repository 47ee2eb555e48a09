import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { type ImageDocument, type ImageLayer, ManyhandsError } from '@manyhands/core'
import { IMAGE_LIMITS } from './image-limits.ts'
import { TAR_BLOCK } from './tar-header.ts'
import { TarScanner } from './tar-scanner.ts'
import { tarHeader } from './tar-writer.ts'

const READ_BYTES = 1024 * 1024
const DIGEST = 'sha256:'.length

/**
 * The archive that an engine loads: the layers that are given, then the configuration, and the manifest
 * last. Nothing takes effect in an engine before the manifest has come, so a layer that turns out not
 * to be what its digest says ends the archive before anything is loaded.
 *
 * @param files - paths of layers by index; the others the engine has
 * @param tag - the only name that the image gets
 * @throws (while it is read) IMAGE_INVALID naming the layer
 */
export async function* loadArchive(
  image: ImageDocument,
  files: ReadonlyMap<number, string>,
  tag: string,
): AsyncGenerator<Uint8Array> {
  const sent = new Set<string>()
  for (const [index, path] of files) {
    const layer = image.layers[index]!
    if (sent.has(layer.diffId)) continue
    sent.add(layer.diffId)
    yield tarHeader(layerName(layer), layer.size)
    yield* checkedLayer(image, layer, path)
    yield* padding(layer.size)
  }
  const configName = `${image.id.slice(DIGEST)}.json`
  yield* file(configName, image.config)
  const manifest = [
    { Config: configName, RepoTags: [tag], Layers: image.layers.map((layer) => layerName(layer)) },
  ]
  yield* file('manifest.json', Buffer.from(JSON.stringify(manifest)))
  yield new Uint8Array(2 * TAR_BLOCK)
}

function layerName({ diffId }: ImageLayer): string {
  return `${diffId.slice(DIGEST)}/layer.tar`
}

/** The bytes of a layer, looked at as they pass by. */
async function* checkedLayer(
  image: ImageDocument,
  { diffId, size }: ImageLayer,
  path: string,
): AsyncGenerator<Uint8Array> {
  const what = `image ${image.id}: layer ${diffId}`
  const refuse = (why: string) => new ManyhandsError('IMAGE_INVALID', `${what} ${why}`)
  const scanner = new TarScanner({ what, entries: IMAGE_LIMITS.layerEntries })
  const hash = createHash('sha256')
  const handle = await open(path, 'r')
  try {
    // The client may have given a directory under a layer's name.
    if (!(await handle.stat()).isFile()) throw refuse('is no file')
    let position = 0
    while (position < size) {
      const length = Math.min(READ_BYTES, size - position)
      const { bytesRead, buffer } = await handle.read(
        Buffer.allocUnsafe(length),
        0,
        length,
        position,
      )
      if (bytesRead === 0) throw refuse(`has ${position} bytes, not ${size}`)
      const bytes = buffer.subarray(0, bytesRead)
      // Engines inflate what looks compressed before they compare: it could grow to any size.
      if (position === 0 && looksCompressed(bytes)) throw refuse('is compressed')
      for (const event of scanner.push(bytes)) void event
      hash.update(bytes)
      position += bytesRead
      yield bytes
    }
  } finally {
    await handle.close()
  }
  scanner.finish()
  const digest = `sha256:${hash.digest('hex')}`
  if (digest !== diffId) throw refuse(`is ${digest}`)
}

const COMPRESSED = [
  [0x1f, 0x8b],
  [0x42, 0x5a, 0x68],
  [0xfd, 0x37, 0x7a, 0x58, 0x5a],
  [0x28, 0xb5, 0x2f, 0xfd],
]

function looksCompressed(bytes: Uint8Array): boolean {
  // Of zstd's frames that are to be skipped the first byte may be any of sixteen.
  const skippable =
    (bytes[0]! & 0xf0) === 0x50 && bytes[1] === 0x2a && bytes[2] === 0x4d && bytes[3] === 0x18
  return skippable || COMPRESSED.some((magic) => magic.every((byte, at) => bytes[at] === byte))
}

function* file(name: string, bytes: Uint8Array): Generator<Uint8Array> {
  yield tarHeader(name, bytes.length)
  yield bytes
  yield* padding(bytes.length)
}

function* padding(size: number): Generator<Uint8Array> {
  const over = size % TAR_BLOCK
  if (over > 0) yield new Uint8Array(TAR_BLOCK - over)
}
