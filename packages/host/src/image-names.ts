import type { Logger, Runtime } from '@manyhands/core'

/** How long an engine may take to say what it calls an image, ms; then it calls it nothing. */
const ASK_MS = 3_000

/**
 * What this host's own engines call images that clients name by id. A client's word for an image proves
 * nothing; only these names count in the owner's list.
 */
export class ImageNames {
  readonly #runtimes: ReadonlyMap<string, { runtime: Runtime }>
  readonly #logger: Logger

  constructor(runtimes: ReadonlyMap<string, { runtime: Runtime }>, logger: Logger) {
    this.#runtimes = runtimes
    this.#logger = logger
  }

  /** Undefined when no engine has it, or when the image is not named by its id. Does not reject. */
  async of(request: { runtime: string; image: string }): Promise<readonly string[] | undefined> {
    const images = this.#runtimes.get(request.runtime)?.runtime.images
    if (images === undefined || !isImageId(request.image)) return undefined
    try {
      const known = await images.find(request.image, { signal: AbortSignal.timeout(ASK_MS) })
      return known?.names
    } catch (cause) {
      this.#logger.debug('an engine does not say what it calls an image', { cause: String(cause) })
      return undefined
    }
  }
}

/** `sha256:…` of an image's configuration. */
export function isImageId(image: string): boolean {
  return /^sha256:[0-9a-f]{64}$/.test(image)
}
