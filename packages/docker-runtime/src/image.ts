import { ManyhandsError } from '@manyhands/core'
import type Docker from 'dockerode'
import type { Engine } from './engine.ts'
import { engineError, engineStatus } from './engine-error.ts'
import { type ImageWishes, wishesOf } from './image-wishes.ts'

// A reference becomes part of a request path: nothing that could leave its segment gets there.
const REFERENCE = /^[A-Za-z0-9][A-Za-z0-9._-]*([/:@][A-Za-z0-9._-]+)*$/

/** An image of the engine, pinned, and what of its wishes is kept. */
export interface EngineImage extends ImageWishes {
  /** `sha256:…`: what containers are created from, so that a tag moved meanwhile changes nothing. */
  id: string
}

/** How long an answer of the engine counts; what is created of an image that has gone since is refused. */
const RECENT_MS = 1_000
const RECENT_MAX = 64

/** Images that were asked for a moment ago: a batch starts many containers of one. */
export class RecentImages {
  readonly #known = new Map<
    string,
    { engine: Engine; until: number; image: Promise<EngineImage> }
  >()

  /** As {@link resolveImage}. */
  resolve(engine: Engine, reference: string): Promise<EngineImage> {
    const known = this.#known.get(reference)
    if (known?.engine === engine && performance.now() < known.until) return known.image
    if (this.#known.size >= RECENT_MAX) this.#known.clear()
    const image = resolveImage(engine, reference)
    this.#known.set(reference, { engine, until: performance.now() + RECENT_MS, image })
    image.catch(() => this.forget(reference))
    return image
  }

  forget(reference: string): void {
    this.#known.delete(reference)
  }
}

/**
 * Finds an image that the engine already has; nothing is ever pulled.
 *
 * @throws IMAGE_INVALID when the reference is none or the image asks for what no honest one needs,
 *   IMAGE_NOT_FOUND, RUNTIME_UNAVAILABLE
 */
export async function resolveImage(engine: Engine, reference: string): Promise<EngineImage> {
  const found = await inspectImage(engine, reference)
  return { id: imageId(found.Id), ...wishesOf(found.Config, reference) }
}

/** An id as Docker writes it: Podman leaves out what kind of hash it is. */
export function imageId(id: string): string {
  return /^[0-9a-f]{64}$/.test(id) ? `sha256:${id}` : id
}

/**
 * What the engine says of an image that it already has.
 *
 * @throws IMAGE_INVALID when the reference is none, IMAGE_NOT_FOUND, RUNTIME_UNAVAILABLE
 */
export async function inspectImage(
  engine: Engine,
  reference: string,
  deadline: AbortSignal = engine.deadline(),
): Promise<Docker.ImageInspectInfo> {
  if (reference.length > 512 || reference.includes('..') || !REFERENCE.test(reference)) {
    const shown = JSON.stringify(reference.slice(0, 80))
    throw new ManyhandsError('IMAGE_INVALID', `${shown} is not an image tag or digest`, {
      hint: 'Name a local image as name:tag, name@sha256:… or sha256:….',
    })
  }
  const found = await engine.docker
    .getImage(reference)
    // The declared type has no signal, the client library does take one.
    .inspect({ abortSignal: deadline } as object)
    .catch((error: unknown) => {
      if (engineStatus(error) === 404) throw notFound(reference)
      throw engineError(error, `image ${reference}`)
    })
  if (!isNamedBy(found, reference)) throw notFound(reference)
  return found
}

/**
 * Engines also answer to the start of an id, and Podman to the end of a name (`busybox` finds
 * `localhost/some/busybox`): neither names an image that a policy could mean.
 */
function isNamedBy(found: Docker.ImageInspectInfo, reference: string): boolean {
  if (found.Id === reference || found.Id === `sha256:${reference}`) return true
  const names = [...(found.RepoTags ?? []), ...(found.RepoDigests ?? [])]
  const last = reference.slice(reference.lastIndexOf('/') + 1)
  const full = /[:@]/.test(last) ? reference : `${reference}:latest`
  // Beside a digest a tag means nothing.
  const asked = familiarName(full.replace(/:[^:/@]+@/, '@'))
  return names.some((name) => familiarName(name) === asked)
}

/** Without what Docker leaves out of an image's name, and Podman writes before it. */
export function familiarName(name: string): string {
  return name.replace(/^(docker\.io\/library|docker\.io|localhost)\//, '')
}

function notFound(reference: string): ManyhandsError {
  return new ManyhandsError('IMAGE_NOT_FOUND', `image ${reference} is not on this host's engine`, {
    details: { image: reference },
  })
}
