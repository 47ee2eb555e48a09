import { setTimeout as delay } from 'node:timers/promises'
import type { Logger, RuntimeExit, RuntimeTask } from '@manyhands/core'
import type { Attempt } from './attempt.ts'

/** How long a kill that failed waits before it is tried again, ms. */
const KILL_AGAIN_MS = 500

/** Ends and removes sandboxes, also when their engine does not listen at first. Never rejects. */
export class SandboxEnder {
  readonly #logger: Logger
  readonly #leftovers = new Set<RuntimeTask>()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** The owner's word holds: an engine that is away or refuses is told again until the sandbox has ended. */
  async kill(attempt: Attempt, task: RuntimeTask, ended: Promise<RuntimeExit>): Promise<void> {
    for (;;) {
      try {
        await task.kill()
        return
      } catch (cause) {
        this.#warn('killing an attempt failed', attempt, cause)
      }
      const again = delay(KILL_AGAIN_MS, false, { ref: false })
      if (await Promise.race([ended.then(() => true), again])) return
    }
  }

  /** What cannot be removed now is tried again by {@link removeLeftovers}. */
  async remove(attempt: Attempt, task: RuntimeTask): Promise<void> {
    try {
      await task.remove()
    } catch (cause) {
      this.#leftovers.add(task)
      this.#warn('a sandbox could not be removed yet', attempt, cause)
    }
  }

  /** To be called now and then: engines that were away come back. */
  async removeLeftovers(): Promise<void> {
    for (const task of this.#leftovers) {
      const removed = await task.remove().then(
        () => true,
        () => false,
      )
      if (removed) this.#leftovers.delete(task)
    }
  }

  #warn(message: string, attempt: Attempt, cause: unknown): void {
    this.#logger.warn(message, { attempt: attempt.id, cause: String(cause) })
  }
}
