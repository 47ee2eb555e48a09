import { createHash } from 'node:crypto'
import { mkdir, rm, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { TaskResult } from '@manyhands/core'
import type { OutputEvent } from './job-lines.ts'

/** Tasks whose outputs are written at once: enough for many small files, few enough for one disk. */
const LANES = 4
/** File systems allow 255; some add suffixes while they write. */
const NAME_BYTES = 200

/** Files of a task that has no result yet. */
interface Early {
  /** Saved so far. */
  paths: Set<string>
  /** One after the other; the result is saved behind them. */
  saving: Promise<void>
}

/**
 * Saves what tasks wrote as their results arrive, each below a directory of its own; and before that, the
 * files that tasks complete while they run. Calls are queued: `save` resolves when there is room for
 * another, so that awaiting it is back-pressure.
 */
export class OutputSaver {
  readonly #directory: string
  readonly #running = new Set<Promise<void>>()
  readonly #early = new Map<string, Early>()
  #failure: { error: unknown } | undefined

  constructor(directory: string) {
    this.#directory = directory
  }

  /**
   * Saves a file of a task that still runs, unless its result is here already. Resolves with its path; or
   * undefined when it was not saved, which is no failure: it comes with the result.
   */
  async saveEarly({ task, path, file }: OutputEvent): Promise<string | undefined> {
    if (file.state !== 'arrived') return undefined
    const early = this.#early.get(task) ?? { paths: new Set(), saving: Promise.resolve() }
    this.#early.set(task, early)
    const target = join(this.#directory, fileNameOf(task), path)
    early.paths.add(path)
    const saved = early.saving.then(async () => {
      await mkdir(dirname(target), { recursive: true })
      await file.saveTo(target)
      return target
    })
    early.saving = saved.then(
      () => {},
      () => {},
    )
    return saved.catch(() => undefined)
  }

  /** A task has ended without a result to save. What came before stays. */
  skip(result: TaskResult): void {
    this.#early.delete(result.key)
  }

  /** @throws what an earlier save threw */
  async save(result: TaskResult, saved: (directory: string) => void): Promise<void> {
    const directory = join(this.#directory, fileNameOf(result.key))
    const lane = this.#removeStale(result, directory)
      .then(() => result.outputs.saveTo(directory))
      .then(() => saved(directory))
      .then(() => this.#mayChange(result))
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

  /** Another result may come in its place: then it goes. */
  #mayChange({ provisional, key, outputs }: TaskResult): void {
    if (!provisional) return
    const paths = new Set(outputs.files.map(({ path }) => path))
    this.#early.set(key, { paths, saving: Promise.resolve() })
  }

  /** What came while the task ran and is not in its result: the task has removed it again. */
  async #removeStale({ key, outputs }: TaskResult, directory: string): Promise<void> {
    const early = this.#early.get(key)
    if (early === undefined) return
    await early.saving
    this.#early.delete(key)
    const kept = new Set(outputs.files.map(({ path }) => path))
    for (const path of early.paths) {
      if (!kept.has(path)) await removeFile(directory, path)
    }
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }
}

/** Removes a file, and the directories that are empty without it: the result may have a file there. */
async function removeFile(directory: string, path: string): Promise<void> {
  await rm(join(directory, path), { force: true })
  for (let parent = dirname(path); parent !== '.'; parent = dirname(parent)) {
    const empty = await rmdir(join(directory, parent)).then(
      () => true,
      () => false,
    )
    if (!empty) return
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
