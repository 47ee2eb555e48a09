import { ManyhandsError } from '@manyhands/core'
import type { Engine } from '../engine.ts'
import { type EngineInfo, hasContainerdStore } from '../engine-info.ts'
import type { EngineImage, RecentImages } from '../image.ts'
import { ownTag } from './image-tag.ts'

/**
 * Finds the image that a container is made of. One that came here is asked for by its id, and by our own
 * name for it where the engine has another idea of ids.
 *
 * @throws as resolveImage
 */
export async function resolveTravelled(
  images: RecentImages,
  engine: Engine,
  of: { info: EngineInfo; hostInstance: string; reference: string },
): Promise<EngineImage> {
  const { info, hostInstance, reference } = of
  try {
    return await images.resolve(engine, reference)
  } catch (error) {
    const lacks = error instanceof ManyhandsError && error.code === 'IMAGE_NOT_FOUND'
    if (!lacks || !reference.startsWith('sha256:') || !hasContainerdStore(info)) throw error
    return images
      .resolve(engine, ownTag(reference, hostInstance))
      .catch(() => Promise.reject(error))
  }
}
