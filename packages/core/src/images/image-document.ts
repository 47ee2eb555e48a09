import { z } from 'zod'
import { sha256Hex } from '../artifacts/sha256.ts'
import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { decodeDocument, encodeDocument } from '../wire/codec.ts'
import { digestSchema } from '../wire/identifiers.ts'

/** One layer of an image that travels: an uncompressed tar, which is a single-file artifact. */
export interface ImageLayer {
  /** sha256 of the uncompressed tar, `sha256:…`. */
  diffId: string
  /** Bytes of the uncompressed tar. */
  size: number
  /** Root of the artifact. */
  root: string
}

/**
 * An image that travels without a registry. Encoded as DAG-CBOR it is a single-file artifact itself,
 * and so is every layer: what two images have in common is kept and sent once.
 */
export interface ImageDocument {
  v: 1
  /** The image's id: sha256 of `config`, `sha256:…`. The same on every engine. */
  id: string
  /** What the client calls it, for people. It proves nothing. */
  reference: string
  /** The image's configuration, byte for byte: JSON as Docker and OCI have it. */
  config: Uint8Array
  /** Lowest first, as in the configuration. */
  layers: ImageLayer[]
}

export const imageSchema: z.ZodType<ImageDocument> = z.strictObject({
  v: z.literal(1),
  id: digestSchema,
  reference: z.string().max(LIMITS.imageNameBytes),
  config: z.instanceof(Uint8Array).refine((bytes) => bytes.length <= LIMITS.imageConfigBytes),
  layers: z
    .array(
      z.strictObject({
        diffId: digestSchema,
        size: z.number().int().nonnegative(),
        root: digestSchema,
      }),
    )
    .max(LIMITS.imageLayers),
})

const configSchema = z.object({
  architecture: z.string().max(64).optional(),
  os: z.string().max(64).optional(),
  rootfs: z.object({ type: z.literal('layers'), diff_ids: z.array(digestSchema) }),
})

/** What of an image's configuration is looked at before any engine does. */
export interface ImageFacts {
  /** As Go calls them: `linux`, `amd64`; undefined where the configuration does not say. */
  os: string | undefined
  architecture: string | undefined
  /** Lowest first. */
  diffIds: string[]
}

/** @throws IMAGE_INVALID for what is no configuration of an image */
export function readImageConfig(config: Uint8Array, name: string): ImageFacts {
  const refuse = (why: string, cause?: unknown) =>
    new ManyhandsError('IMAGE_INVALID', `image ${name}: its configuration ${why}`, { cause })
  if (config.length > LIMITS.imageConfigBytes) {
    throw refuse(`has ${config.length} bytes, at most ${LIMITS.imageConfigBytes} are taken`)
  }
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(config))
  } catch (cause) {
    throw refuse('is no JSON', cause)
  }
  const parsed = configSchema.safeParse(value)
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!
    throw refuse(`is none: ${path.join('.') || 'document'}: ${message}`)
  }
  const { architecture, os, rootfs } = parsed.data
  if (rootfs.diff_ids.length > LIMITS.imageLayers) {
    throw refuse(`has ${rootfs.diff_ids.length} layers, at most ${LIMITS.imageLayers} are taken`)
  }
  return { architecture, os, diffIds: rootfs.diff_ids }
}

/** @throws IMAGE_INVALID when it does not hold together */
export function encodeImage(image: ImageDocument): Uint8Array {
  checkImage(image, image.reference)
  return encodeDocument(image)
}

/**
 * Reads the image document of a peer, before anything else of the image is fetched.
 *
 * @param id - the image that was asked for
 * @throws IMAGE_INVALID naming what does not fit
 */
export function decodeImage(bytes: Uint8Array, id: string): ImageDocument {
  let image: ImageDocument
  try {
    image = decodeDocument(imageSchema, bytes, 'image')
  } catch (cause) {
    const why = (cause as Error).message
    throw new ManyhandsError('IMAGE_INVALID', `image ${id}: its document is none: ${why}`, {
      cause,
    })
  }
  if (image.id !== id) {
    throw new ManyhandsError('IMAGE_INVALID', `image ${id}: its document is that of ${image.id}`)
  }
  checkImage(image, id)
  return image
}

/** The id is the configuration's hash, and the configuration names exactly these layers. */
function checkImage(image: ImageDocument, name: string): void {
  const refuse = (why: string) => new ManyhandsError('IMAGE_INVALID', `image ${name}: ${why}`)
  const hash = `sha256:${sha256Hex(image.config)}`
  if (hash !== image.id) throw refuse(`its configuration is that of ${hash}`)
  const { diffIds } = readImageConfig(image.config, name)
  if (diffIds.length !== image.layers.length) {
    throw refuse(`${image.layers.length} layers, its configuration names ${diffIds.length}`)
  }
  const known = new Map<string, ImageLayer>()
  for (const [index, layer] of image.layers.entries()) {
    if (layer.diffId !== diffIds[index]) {
      throw refuse(`layer ${index} is ${layer.diffId}, its configuration names ${diffIds[index]}`)
    }
    const same = known.get(layer.diffId)
    if (same !== undefined && (same.size !== layer.size || same.root !== layer.root)) {
      throw refuse(`layer ${layer.diffId} is listed twice in different ways`)
    }
    known.set(layer.diffId, layer)
  }
  if (!Number.isSafeInteger(imageBytes(image))) throw refuse('the sizes are beyond counting')
}

/** Bytes of an image's layers; one that is there twice counts once. */
export function imageBytes({ layers }: Pick<ImageDocument, 'layers'>): number {
  const sizes = new Map(layers.map(({ diffId, size }) => [diffId, size]))
  return sizes.values().reduce((sum, size) => sum + size, 0)
}
