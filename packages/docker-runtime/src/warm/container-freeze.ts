import { readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { freezers } from '../cgroup.ts'
import type { DockerTask } from '../docker-task.ts'

/** How long the kernel may take to hold all of a container's processes. */
const FROZEN_MS = 500

/**
 * Makes a container stand still for a moment. The engine's pause alone is no proof: pausing and resuming in
 * quick succession, an engine mistakes the news of the one for the other and answers that all is done. So
 * the kernel is told directly where we may, and asked in any case.
 */
export class ContainerFreeze {
  readonly #container: DockerTask
  #thaw: (() => Promise<void>) | undefined

  constructor(container: DockerTask) {
    this.#container = container
  }

  get frozen(): boolean {
    return this.#thaw !== undefined
  }

  /** False when it is not certain that nothing moves any more. */
  async freeze(): Promise<boolean> {
    const files = freezers(this.#container.handle.id)
    const file = files.find(({ control, freeze }) => wrote(control, freeze))
    if (file !== undefined) {
      this.#thaw = () => Promise.resolve(writeFileSync(file.control, file.thaw))
    } else {
      this.#thaw = () => this.#container.resume()
      await this.#container.pause().catch(() => {})
    }
    const until = performance.now() + FROZEN_MS
    while (!files.some(({ state, frozen }) => frozen.test(read(state)))) {
      if (performance.now() > until) return false
      await delay(1, undefined, { ref: false })
    }
    return true
  }

  /** @throws what the engine or the file system says; then the container is of no use any more */
  async thaw(): Promise<void> {
    const thaw = this.#thaw
    this.#thaw = undefined
    await thaw?.()
  }
}

function wrote(path: string, value: string): boolean {
  try {
    writeFileSync(path, value, { flag: 'r+' })
    return true
  } catch {
    // Another layout, or not ours to write.
    return false
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
