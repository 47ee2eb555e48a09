import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { TaskResult } from '@manyhands/core'

/** Tasks whose outputs are written at once: enough for many small files, few enough for one disk. */
const LANES = 4
/** File systems allow 255; some add suffixes while they write. */
const NAME_BYTES = 200

/**
 * Saves what tasks wrote as their results arrive, each below a directory of its own. Calls are queued:
 * `save` resolves when there is room for another, so that awaiting it is back-pressure.
 */
export class OutputSaver {
  readonly #directory: string
  readonly #running = new Set<Promise<void>>()
  #failure: { error: unknown } | undefined

  constructor(directory: string) {
    this.#directory = directory
  }

  /** @throws what an earlier save threw */
  async save(result: TaskResult, saved: (directory: string) => void): Promise<void> {
    const directory = join(this.#directory, fileNameOf(result.key))
    const lane = result.outputs
      .saveTo(directory)
      .then(() => saved(directory))
      .catch((error: unknown) => {
        this.#failure ??= { error }
      })
      .finally(() => this.#running.delete(lane))
    this.#running.add(lane)
    if (this.#running.size >= LANES) await Promise.race(this.#running)
    this.#check()
  }

  /** Resolves when everything is written. @throws what a save threw */
  async finish(): Promise<void> {
    await Promise.all(this.#running)
    this.#check()
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }
}

/**
 * A task's key as the name of one directory: never a path, never two keys with one name. Letters,
 * digits and ` ._-+=@,` stay; everything else is percent-encoded.
 */
export function fileNameOf(key: string): string {
  const encode = (text: string) =>
    [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')
  const name = key
    .replace(/[^\p{L}\p{N} ._\-+=@,]/gu, encode)
    // A leading dot would hide it, and `.` and `..` are other directories; trailing ones get lost on Windows.
    .replace(/^\.+|[. ]+$/g, encode)
  if (name !== '' && Buffer.byteLength(name) <= NAME_BYTES) return name
  const hash = createHash('sha256').update(key).digest('hex').slice(0, 16)
  // '%' and no hex digits after it: no shorter key is encoded to this.
  return `${[...name].slice(0, 40).join('')}%~${hash}`
}
