import { setTimeout as delay } from 'node:timers/promises'
import {
  concurrently,
  formatDuration,
  type Logger,
  ManyhandsError,
  type Runtime,
  type RuntimeFingerprint,
  type RuntimeHandle,
  type RuntimeTask,
} from '@manyhands/core'
import { Attempt } from './attempt.ts'
import type { AttemptDesk } from './attempt-desk.ts'
import type { AttemptRunner } from './attempt-runner.ts'
import type { JournaledAttempt } from './host-journal.ts'

/** Sandboxes that one engine is asked about at once. */
const AT_ONCE = 16
/** How often an engine that is away is asked again, ms. */
const ASK_AGAIN_MS = 1_000

/** A runtime of this host, and what it found when it was asked last. */
export interface HostRuntime {
  readonly runtime: Runtime
  fingerprint: RuntimeFingerprint
  /** Attempts of an earlier run are not taken up yet: it is given nothing new. */
  recovering?: boolean
}

export interface RuntimeRecoveryOptions {
  desk: AttemptDesk
  runner: AttemptRunner
  engineLostMs: number
  logger: Logger
  closing: AbortSignal
  recovered(): void
}

interface Waiting {
  row: JournaledAttempt
  attempt: Attempt
  found: PromiseWithResolvers<RuntimeTask>
}

/**
 * Takes up what one engine still has of an earlier run. An engine that does not answer is asked again:
 * until it does, or has been lost, nobody knows what became of its sandboxes, so nothing is said of them.
 */
export class RuntimeRecovery {
  readonly #entry: HostRuntime
  readonly #options: RuntimeRecoveryOptions
  readonly #waiting = new Map<string, Waiting>()
  readonly #adopted = new Set<string>()
  readonly #begunAt = performance.now()
  #warned = false

  constructor(entry: HostRuntime, options: RuntimeRecoveryOptions) {
    this.#entry = entry
    this.#options = options
  }

  /** An attempt that was not over when the last run ended. */
  wait(row: JournaledAttempt): void {
    const { desk, runner } = this.#options
    const attempt = new Attempt(row, 'staging')
    const found = Promise.withResolvers<RuntimeTask>()
    this.#waiting.set(row.id, { row, attempt, found })
    desk.restore(attempt)
    void runner.adopt(attempt, found.promise)
    if (row.intent !== undefined) attempt.intend(row.intent)
    void attempt.done.promise.then(() => this.#waiting.delete(row.id))
  }

  /** Resolves when the engine is through, or does not answer now. */
  async begin(): Promise<void> {
    this.#entry.recovering = true
    if (await this.#try()) return
    const { fingerprint } = this.#entry
    this.#entry.fingerprint = {
      ...fingerprint,
      available: false,
      detail: fingerprint.detail ?? 'the engine does not answer',
    }
    void this.#goOn()
  }

  async #goOn(): Promise<void> {
    const { closing, engineLostMs } = this.#options
    try {
      do {
        await delay(ASK_AGAIN_MS, undefined, { signal: closing, ref: false })
        if (performance.now() - this.#begunAt > engineLostMs) {
          this.#giveUp(`the engine did not answer for ${formatDuration(engineLostMs)}`)
        }
      } while (!(await this.#try()))
    } catch {
      // The host closes; its next run goes on here.
    }
  }

  /** One round. Returns whether the engine is through. */
  async #try(): Promise<boolean> {
    const { runtime } = this.#entry
    const { logger, recovered } = this.#options
    try {
      const fingerprint = await runtime.fingerprint()
      if (!fingerprint.available) {
        this.#entry.fingerprint = fingerprint
        // What cannot be taken up in another process did not outlive the last one.
        if (runtime.capabilities.recover) return false
      }
      await concurrently([...this.#waiting.values()], AT_ONCE, (one) => this.#find(one))
      if (fingerprint.available) {
        const handles = await runtime.list()
        await concurrently(handles, AT_ONCE, (handle) => this.#removeUnknown(handle))
      }
      this.#entry.fingerprint = fingerprint
      this.#entry.recovering = false
      recovered()
      return true
    } catch (cause) {
      if (!this.#warned) {
        logger.warn('an engine does not tell what it has of the last run', {
          runtime: runtime.name,
          cause: String(cause),
        })
      }
      this.#warned = true
      return false
    }
  }

  async #find({ row, attempt, found }: Waiting): Promise<void> {
    const { runtime } = this.#entry
    const task = row.handle === undefined ? undefined : await runtime.recover(row.handle)
    if (task === undefined) {
      found.reject(new ManyhandsError('HOST_LOST', 'the host was restarted under the task'))
    } else if (attempt.intent === undefined) {
      this.#adopted.add(task.handle.id)
      found.resolve(task)
    }
    this.#waiting.delete(row.id)
  }

  async #removeUnknown(handle: RuntimeHandle): Promise<void> {
    if (this.#adopted.has(handle.id)) return
    await (await this.#entry.runtime.recover(handle))?.remove()
  }

  #giveUp(why: string): void {
    for (const { found } of this.#waiting.values()) {
      found.reject(new ManyhandsError('RUNTIME_UNAVAILABLE', why))
    }
    this.#waiting.clear()
  }
}
