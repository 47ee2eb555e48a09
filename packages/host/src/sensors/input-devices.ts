import { constants, type FileHandle, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** Input devices that are listened to; a computer has some twenty. */
const DEVICES = 64
/** Bytes read at once: some hundred events. */
const READ_BYTES = 4096

/**
 * When somebody last used keyboard or mouse, as the kernel's event devices tell. They can be read by root
 * and the group `input` only, and whoever opens them hears of what comes from then on.
 */
export class InputDevices implements AsyncDisposable {
  readonly #dir: string
  readonly #open = new Map<string, FileHandle>()
  readonly #buffer = Buffer.alloc(READ_BYTES)
  #usedAt = performance.now()

  /** @param dev - where `input/event0` is */
  constructor(dev: string) {
    this.#dir = join(dev, 'input')
  }

  /** Milliseconds since the last event, at most since the first question; undefined when none is readable. */
  async idleMs(): Promise<number | undefined> {
    await this.#find()
    if (this.#open.size === 0) return undefined
    for (const [name, device] of this.#open) {
      const used = await this.#used(device)
      if (used === undefined) {
        this.#open.delete(name)
        await device.close().catch(() => {})
        // Unplugging is use as well.
        this.#usedAt = performance.now()
      } else if (used) this.#usedAt = performance.now()
    }
    return performance.now() - this.#usedAt
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const device of this.#open.values()) await device.close().catch(() => {})
    this.#open.clear()
  }

  async #find(): Promise<void> {
    const names = await readdir(this.#dir).catch(() => [])
    for (const name of names.filter((candidate) => candidate.startsWith('event'))) {
      if (this.#open.has(name) || this.#open.size >= DEVICES) continue
      const flags = constants.O_RDONLY | constants.O_NONBLOCK
      const device = await open(join(this.#dir, name), flags).catch(() => undefined)
      if (device === undefined) continue
      this.#open.set(name, device)
      this.#usedAt = performance.now()
    }
  }

  /** Whether it had events since the last time; undefined when it is gone. Never waits. */
  async #used(device: FileHandle): Promise<boolean | undefined> {
    let used = false
    try {
      while ((await device.read(this.#buffer, 0, READ_BYTES)).bytesRead > 0) used = true
      return used
    } catch (cause) {
      return (cause as NodeJS.ErrnoException).code === 'EAGAIN' ? used : undefined
    }
  }
}
