import { type ImageSource, ManyhandsError, type SourceImage } from '@manyhands/core'
import type Docker from 'dockerode'
import type { EngineAddress } from '../connect/engine-address.ts'
import { type EngineFinder, engineFinder } from '../connect/find-engine.ts'
import type { Engine } from '../engine.ts'
import { engineError } from '../engine-error.ts'
import { type EngineInfo, hasContainerdStore } from '../engine-info.ts'
import { inspectImage } from '../image.ts'
import { boundedStream } from './bounded-stream.ts'
import { readImageArchive } from './image-archive.ts'
import { IMAGE_LIMITS } from './image-limits.ts'
import { inspectById } from './own-images.ts'

/** An engine that does not answer within this time has no image for anybody, ms. */
const ASK_MS = 10_000

/**
 * The images of this computer's own engine, for a client: what a job's `image` names here travels to
 * the hosts that lack it. The engine is looked for when the first job asks, in the same places as
 * `docker()` does; where there is none, names mean what the hosts have.
 *
 * @example
 * const client = await createClient({ images: [dockerImages({ socketPath: '/run/user/1000/docker.sock' })] })
 *
 * @throws CONFIG_INVALID for an address that is none
 */
export function dockerImages(options: EngineAddress = {}): ImageSource {
  return new EngineImageSource(engineFinder(options))
}

class EngineImageSource implements ImageSource {
  readonly runtime = 'docker'
  readonly #finder: EngineFinder

  constructor(finder: EngineFinder) {
    this.#finder = finder
  }

  async resolve(
    reference: string,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<SourceImage | undefined> {
    try {
      const engine = await this.#finder.find()
      signal?.throwIfAborted()
      const found = await inspectImage(engine, reference, engine.deadline(ASK_MS))
      signal?.throwIfAborted()
      return new EngineSourceImage(engine, reference, found, await namesByConfig(engine))
    } catch (error) {
      signal?.throwIfAborted()
      if (error instanceof ManyhandsError && ABSENT.has(error.code)) return undefined
      throw error
    }
  }
}

/** Not an image of this engine, for whatever reason: hosts may know better. */
const ABSENT: ReadonlySet<string> = new Set([
  'IMAGE_INVALID',
  'IMAGE_NOT_FOUND',
  'RUNTIME_UNAVAILABLE',
])

/** Whether the engine's names of images are ours. */
async function namesByConfig(engine: Engine): Promise<boolean> {
  const asked = engine.docker.info({ abortSignal: engine.deadline(ASK_MS) } as never) as unknown
  const info = await (asked as Promise<EngineInfo>).catch((error: unknown) => {
    throw engineError(error, `engine ${engine.where}`)
  })
  return !hasContainerdStore(info)
}

class EngineSourceImage implements SourceImage {
  readonly key: string
  readonly id: string | undefined
  readonly diffIds: readonly string[]
  readonly bytes: number
  readonly #engine: Engine
  readonly #reference: string

  constructor(
    engine: Engine,
    reference: string,
    found: Docker.ImageInspectInfo,
    byConfig: boolean,
  ) {
    this.#engine = engine
    this.#reference = reference
    this.key = found.Id.startsWith('sha256:') ? found.Id : `sha256:${found.Id}`
    this.id = byConfig ? this.key : undefined
    this.diffIds = found.RootFS?.Layers ?? []
    this.bytes = Math.max(0, Math.round(found.Size))
  }

  async export(
    wanted: ReadonlySet<string>,
    dir: string,
    { signal, onProgress }: { signal?: AbortSignal; onProgress?: (bytes: number) => void } = {},
  ) {
    signal?.throwIfAborted()
    // Engines tell of an image that has gone in ways of their own.
    if ((await inspectById(this.#engine, this.key)) === undefined) {
      const { where } = this.#engine
      throw new ManyhandsError('IMAGE_NOT_FOUND', `${this.#reference} is no longer in ${where}`)
    }
    const archive = await this.#open(signal)
    return readImageArchive(
      boundedStream(archive, {
        what: `image ${this.#reference}: its export`,
        maxBytes: this.bytes * IMAGE_LIMITS.archiveRatio + IMAGE_LIMITS.archiveSpareBytes,
        stallMs: IMAGE_LIMITS.stallMs,
        signal,
      }),
      {
        reference: this.#reference,
        id: this.id,
        diffIds: this.diffIds,
        wanted,
        dir,
        signal,
        onProgress,
      },
    )
  }

  /** The client library's own call takes no signal. */
  #open(signal: AbortSignal | undefined): Promise<NodeJS.ReadableStream> {
    const { docker } = this.#engine
    return new Promise((resolve, reject) => {
      docker.modem.dial(
        {
          path: `/images/${this.key}/get`,
          method: 'GET',
          isStream: true,
          statusCodes: { 200: true, 404: 'no such image', 500: 'server error' },
          ...(signal === undefined ? {} : { abortSignal: signal }),
        } as never,
        (error: unknown, stream: unknown) => {
          if (signal?.aborted) reject(signal.reason)
          else if (error) reject(engineError(error, `image ${this.#reference}`))
          else resolve(stream as NodeJS.ReadableStream)
        },
      )
    })
  }
}
