import { concurrently } from '@manyhands/core'
import type { Engine } from '../engine.ts'
import { engineError, engineStatus } from '../engine-error.ts'
import { IMAGE_LIMITS } from './image-limits.ts'
import { chainIds } from './layer-chains.ts'

const ASKED_AT_ONCE = 8

/** Which layers an engine has, as far as its images tell: no engine answers that question itself. */
export class EngineLayers {
  /** Chains of images that were looked at, by id; an image never changes. */
  readonly #known = new Map<string, string[]>()

  /** How many of an image's layers the engine has, from the lowest on. @throws RUNTIME_UNAVAILABLE */
  async presentOf(engine: Engine, diffIds: readonly string[]): Promise<number> {
    const present = await this.#chains(engine)
    const chains = chainIds(diffIds)
    const missing = chains.findIndex((chain) => !present.has(chain))
    return missing < 0 ? chains.length : missing
  }

  async #chains(engine: Engine): Promise<Set<string>> {
    const options = { all: true, abortSignal: engine.deadline() }
    const listed = await engine.docker.listImages(options).catch((error: unknown) => {
      throw engineError(error, `images of ${engine.where}`)
    })
    const ids = listed.map(({ Id }) => Id).slice(0, IMAGE_LIMITS.imagesLookedAt)
    const gone = new Set(this.#known.keys())
    for (const id of ids) gone.delete(id)
    for (const id of gone) this.#known.delete(id)
    const unknown = ids.filter((id) => !this.#known.has(id))
    await concurrently(unknown, ASKED_AT_ONCE, async (id) => {
      const found = await engine.docker
        .getImage(id)
        .inspect({ abortSignal: engine.deadline() } as object)
        .catch((error: unknown) => {
          // Removed meanwhile.
          if (engineStatus(error) === 404) return undefined
          throw engineError(error, `image ${id}`)
        })
      if (found !== undefined) this.#known.set(id, chainIds(found.RootFS?.Layers ?? []))
    })
    return new Set([...this.#known.values()].flat())
  }
}
