import { setTimeout as delay } from 'node:timers/promises'
import {
  type AttemptSpec,
  type Logger,
  type Resources,
  removeTree,
  type WarmSandbox,
} from '@manyhands/core'

/** How long a sandbox that could not be ended waits before it is tried again, ms. */
const AGAIN_MS = 1000
/** How long the end of an attempt waits for its sandbox's, ms. */
const SETTLED_MS = 5000

/** Whose task it is, and what of. */
export interface WarmUse {
  readonly client: string
  readonly job: string
  readonly spec: AttemptSpec
}

/** The attempt that it is made for. */
export interface WarmFirst extends WarmUse {
  readonly id: string
  readonly limits: Resources
  readonly gpuIds: readonly string[]
}

/** What of a spec its sandbox is made of. Tasks whose specs differ in it never share one. */
export function warmKey({ client, job, spec }: WarmUse): string {
  const { runtime, image, resources, networkProfile, gpu, secrets, warm } = spec
  return JSON.stringify([
    client,
    job,
    runtime,
    image,
    resources,
    networkProfile,
    gpu,
    secrets,
    warm,
  ])
}

/** One warm sandbox of a job, between its tasks and while one runs. It decides nothing. */
export class WarmSlot {
  /** What it holds its reservation by: no attempt has such an id. */
  readonly id: string
  readonly client: string
  readonly job: string
  readonly key: string
  readonly gpuIds: readonly string[]
  readonly sandbox: WarmSandbox
  /** What it holds while no task is in it: all but disk, since /out is empty then. */
  reserved: Resources
  tasks = 0
  /** Settles when the last task is removed and the next may come. Does not reject. */
  ready: Promise<void> = Promise.resolve()
  /** Ends it when no task has come for too long. */
  idle: NodeJS.Timeout | undefined
  /** Lets go of what it has at /in. */
  releaseInputs: (() => Promise<void>) | undefined
  readonly #dir: string
  readonly #logger: Logger
  #closed: Promise<void> | undefined

  constructor(attempt: WarmFirst, sandbox: WarmSandbox, dir: string, logger: Logger) {
    this.id = `warm:${attempt.id}`
    this.client = attempt.client
    this.job = attempt.job
    this.key = warmKey(attempt)
    this.gpuIds = attempt.gpuIds
    this.reserved = { ...attempt.limits, diskBytes: 0 }
    this.sandbox = sandbox
    this.#dir = dir
    this.#logger = logger
  }

  /** Whether it is being ended, or has been. */
  get ending(): boolean {
    return this.#closed !== undefined
  }

  /** Resolves when the last task is removed or the sandbox ended; an engine that is away is not waited for. */
  async settled(): Promise<void> {
    if (!this.ending) return this.ready
    const waiting = new AbortController()
    const late = delay(SETTLED_MS, undefined, { ref: false, signal: waiting.signal })
    await Promise.race([this.close(), late.catch(() => {})])
    waiting.abort()
  }

  /** Ends the sandbox, however often its engine has to be told. Resolves when nothing is left of it. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    clearTimeout(this.idle)
    for (;;) {
      try {
        await this.sandbox.close()
        break
      } catch (cause) {
        this.#logger.warn('a warm sandbox could not be ended yet', {
          slot: this.id,
          cause: String(cause),
        })
        await delay(AGAIN_MS, undefined, { ref: false })
      }
    }
    await this.releaseInputs?.()
    await removeTree(this.#dir).catch((cause: unknown) => {
      this.#logger.warn('a directory of a warm sandbox stays', { cause: String(cause) })
    })
  }
}
