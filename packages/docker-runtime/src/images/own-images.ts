import type Docker from 'dockerode'
import type { Engine } from '../engine.ts'
import { engineError, engineStatus } from '../engine-error.ts'
import { isHostTag, isOwnTag, ownTag, ownTags } from './image-tag.ts'
import { chainIds } from './layer-chains.ts'

/** An image that nobody but hosts has a name for, and this host is one of them. */
export interface OwnImage {
  /** Our name for it. */
  tag: string
  /** The engine's id, which is ours where images are named by their configuration. */
  id: string
  /** Its layers as the engine keeps them, lowest first. */
  chains: string[]
  /** All of it, shared layers too. */
  bytes: number
  /** How many containers have it, whoever made them. */
  containers: number
}

/**
 * What the engine says of an image that clients name by this id; undefined when it has none. Where images
 * are named by a manifest, only what we loaded ourselves, and gave a name, is known to be it.
 */
export async function findImage(
  engine: Engine,
  id: string,
  { hostInstance, byManifest }: { hostInstance: string; byManifest: boolean },
): Promise<Docker.ImageInspectInfo | undefined> {
  const found = await inspectById(engine, id)
  if (found !== undefined || !byManifest) return found
  return inspectNamed(engine, ownTag(id, hostInstance))
}

/** What the engine says of an image of exactly this id; undefined when it has none. */
export async function inspectById(
  engine: Engine,
  id: string,
): Promise<Docker.ImageInspectInfo | undefined> {
  const found = await inspectNamed(engine, id)
  // Engines answer to the start of an id, and to names, too.
  return found?.Id === id || `sha256:${found?.Id}` === id ? found : undefined
}

function inspectNamed(engine: Engine, name: string): Promise<Docker.ImageInspectInfo | undefined> {
  return (
    engine.docker
      .getImage(name)
      // The declared type has no signal, the client library does take one.
      .inspect({ abortSignal: engine.deadline() } as object)
      .catch((error: unknown) => {
        if (engineStatus(error) === 404) return undefined
        throw engineError(error, `image ${name}`)
      })
  )
}

/** Images that are this host's to remove. @throws RUNTIME_UNAVAILABLE */
export async function listOwnImages(engine: Engine, hostInstance: string): Promise<OwnImage[]> {
  const listed = await engine.docker
    .listImages({
      filters: { reference: [ownTags(hostInstance)] },
      abortSignal: engine.deadline(),
    } as object)
    .catch((error: unknown) => {
      throw engineError(error, `images of ${engine.where}`)
    })
  if (listed.length === 0) return []
  const containers = await engine.docker
    .listContainers({ all: true, abortSignal: engine.deadline() } as object)
    .catch((error: unknown) => {
      throw engineError(error, `containers of ${engine.where}`)
    })
  const own: OwnImage[] = []
  for (const { Id: id } of listed) {
    const found = await inspectById(engine, id)
    const tags = found?.RepoTags ?? []
    const tag = tags.find((name) => isOwnTag(name, hostInstance))
    // What has another name as well is the owner's.
    if (found === undefined || tag === undefined || !tags.every(isHostTag)) continue
    own.push({
      tag,
      id,
      chains: chainIds(found.RootFS?.Layers ?? []),
      bytes: found.Size,
      containers: containers.filter(({ ImageID }) => ImageID === id).length,
    })
  }
  return own
}

export async function tagOwn(engine: Engine, id: string, hostInstance: string): Promise<void> {
  const name = ownTag(id, hostInstance)
  const at = name.lastIndexOf(':')
  const options = { repo: name.slice(0, at), tag: name.slice(at + 1) }
  await engine.docker
    .getImage(id)
    .tag(options)
    .catch((error: unknown) => {
      throw engineError(error, `image ${id}`)
    })
}

/**
 * Takes this host's name away from an image; one without another name goes.
 *
 * @returns false when a container has it
 */
export async function untagOwn(engine: Engine, tag: string): Promise<boolean> {
  try {
    await engine.docker
      .getImage(tag)
      // Without the images that it was built on, as far as those are the owner's.
      .remove({ noprune: true, abortSignal: engine.deadline() } as object)
    return true
  } catch (error) {
    if (engineStatus(error) === 404) return true
    if (engineStatus(error) === 409) return false
    throw engineError(error, `image ${tag}`)
  }
}
