import {
  formatByteSize,
  type GcAmount,
  type GcOptions,
  type GcRoom,
  type GcSection,
  type Logger,
  ManyhandsError,
  type Runtime,
  type RuntimeImages,
} from '@manyhands/core'
import type { AttemptRegistry } from './attempt-registry.ts'
import type { PolicyBook } from './policy-book.ts'

export interface ImageRoomOptions {
  attempts: AttemptRegistry
  policy: PolicyBook
  runtimes: ReadonlyMap<string, { runtime: Runtime }>
  logger: Logger
}

/**
 * The part of the disk that the owner gives to images of clients. Images of attempts that are not over
 * together never exceed it; what is left keeps those that were used last.
 */
export class ImageRoom implements GcRoom {
  readonly room = 'images'
  readonly #options: ImageRoomOptions

  constructor(options: ImageRoomOptions) {
    this.#options = options
  }

  /** Bytes of images that attempts use which are not over; one that several use counts once. */
  inUse(without?: string): number {
    const sizes = new Map<string, number>()
    for (const { imageBytes, spec } of this.#options.attempts.live()) {
      if (imageBytes === undefined || spec.image === without) continue
      sizes.set(spec.image, Math.max(imageBytes, sizes.get(spec.image) ?? 0))
    }
    return sizes.values().reduce((sum, bytes) => sum + bytes, 0)
  }

  /**
   * Takes the exact size of an image, whatever was said of it before, and removes others until it fits.
   *
   * @throws HOST_REFUSED, HOST_BUSY
   */
  async make(images: RuntimeImages, id: string, bytes: number): Promise<void> {
    const { attempts, policy } = this.#options
    const verdict = imageRoomVerdict(bytes, this.inUse(id), policy.imageCacheBytes)
    if (verdict !== undefined) {
      const code = verdict.temporary ? 'HOST_BUSY' : 'HOST_REFUSED'
      throw new ManyhandsError(code, `imageCache: ${verdict.detail}`)
    }
    for (const attempt of attempts.live()) {
      if (attempt.spec.image === id && attempt.imageBytes !== undefined) attempt.imageBytes = bytes
    }
    await images.collect({
      keepBytes: policy.imageCacheBytes - bytes,
      inUse: (image) => this.#isInUse(image),
    })
  }

  /** Removes what is more than the owner gives now. An engine that is away is left for later. */
  async tidy(): Promise<void> {
    const { policy, runtimes, logger } = this.#options
    const options = {
      keepBytes: policy.imageCacheBytes,
      inUse: (image: string) => this.#isInUse(image),
    }
    for (const { runtime } of runtimes.values()) {
      await runtime.images?.collect(options).catch((cause) => {
        logger.debug('images cannot be removed now', { cause: String(cause) })
      })
    }
  }

  async collectGarbage({ dryRun, keepBytes, signal }: GcOptions): Promise<GcSection> {
    const { policy, runtimes } = this.#options
    const sum = { removed: nothing(), used: nothing(), kept: nothing() }
    for (const { runtime } of runtimes.values()) {
      signal?.throwIfAborted()
      if (runtime.images === undefined) continue
      const found = await runtime.images.collect({
        keepBytes: Math.min(keepBytes ?? Number.POSITIVE_INFINITY, policy.imageCacheBytes),
        inUse: (image) => this.#isInUse(image),
        dryRun,
      })
      for (const key of ['removed', 'used', 'kept'] as const) {
        sum[key].artifacts += found[key].images
        sum[key].bytes += found[key].bytes
      }
    }
    const kept = [
      { reason: 'images that attempts or containers have', ...sum.used },
      { reason: 'images for later jobs', ...sum.kept },
    ]
    return { room: this.room, removed: sum.removed, kept: kept.filter((one) => one.artifacts > 0) }
  }

  #isInUse(id: string): boolean {
    return this.#options.attempts.live().some(({ spec }) => spec.image === id)
  }
}

/** Images are files of an engine's own. */
const nothing = (): GcAmount => ({ artifacts: 0, files: 0, bytes: 0 })

/** Why an image does not fit beside those in use; undefined when it does. */
export function imageRoomVerdict(
  bytes: number,
  inUse: number,
  cacheBytes: number,
): { detail: string; temporary: boolean } | undefined {
  const size = `an image of ${formatByteSize(bytes)}`
  const cache = formatByteSize(cacheBytes)
  if (bytes > cacheBytes) {
    return { detail: `${size}, at most ${cache} are given to images`, temporary: false }
  }
  if (bytes + inUse <= cacheBytes) return undefined
  const used = formatByteSize(inUse)
  return { detail: `${size}, ${used} of ${cache} are in use by other images`, temporary: true }
}
