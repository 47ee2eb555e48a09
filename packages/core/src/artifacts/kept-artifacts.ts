import { mkdir, opendir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from '../network/network.ts'

/** A use is written down when the last one on the disk is older than this, ms: order matters, minutes do not. */
const COARSE_MS = 60_000

/**
 * Artifacts that stay for later while there is room, and when each was used last: an empty file `kept/<root hex>`
 * whose time is that of the last use. It is a hint: one that is lost makes an artifact go sooner, nothing
 * more.
 */
export class KeptArtifacts {
  readonly #dir: string
  readonly #logger: Logger | undefined
  readonly #used = new Map<string, number>()
  readonly #written = new Map<string, number>()
  /** Uses by this process, counted: a clock has too few ticks to tell before from after. */
  readonly #last = new Map<string, number>()
  #uses = 0
  #work: Promise<void> = Promise.resolve()

  private constructor(dir: string, logger: Logger | undefined) {
    this.#dir = dir
    this.#logger = logger
  }

  /** Looks at the disk, which stays as it is. */
  static async open(dir: string, logger?: Logger): Promise<KeptArtifacts> {
    const kept = new KeptArtifacts(dir, logger)
    const listed = await opendir(dir).catch(() => undefined)
    for await (const { name } of listed ?? []) {
      const found = await stat(join(dir, name)).catch(() => undefined)
      if (found === undefined) continue
      kept.#used.set(`sha256:${name}`, found.mtimeMs)
      kept.#written.set(`sha256:${name}`, found.mtimeMs)
    }
    return kept
  }

  has(root: string): boolean {
    return this.#used.has(root)
  }

  usedAt(root: string): number | undefined {
    return this.#used.get(root)
  }

  roots(): string[] {
    return [...this.#used.keys()]
  }

  /** How many uses there were. */
  get uses(): number {
    return this.#uses
  }

  /** Which of the uses was the last one of this; 0: none by this process. */
  lastUse(root: string): number {
    return this.#last.get(root) ?? 0
  }

  /** It is used now. */
  use(root: string): void {
    const now = Date.now()
    this.#uses += 1
    this.#last.set(root, this.#uses)
    this.#used.set(root, now)
    if (Math.abs(now - (this.#written.get(root) ?? 0)) < COARSE_MS) return
    this.#written.set(root, now)
    this.#then(async () => {
      if (!this.#used.has(root)) return
      const path = this.#path(root)
      const at = now / 1000
      await utimes(path, at, at).catch(async () => {
        await mkdir(this.#dir, { recursive: true })
        await writeFile(path, '')
      })
    })
  }

  /** It is gone, or is not kept any more. */
  forget(root: string): void {
    if (!this.#used.delete(root)) return
    this.#written.delete(root)
    this.#last.delete(root)
    this.#then(() => rm(this.#path(root), { force: true }))
  }

  /** Resolves when what was told so far is on the disk. */
  async settled(): Promise<void> {
    await this.#work
  }

  #path(root: string): string {
    return join(this.#dir, root.slice('sha256:'.length))
  }

  #then(work: () => Promise<void>): void {
    this.#work = this.#work.then(work).catch((error) => {
      this.#logger?.debug('the last use of an artifact was not written down', {
        error: String(error),
      })
    })
  }
}
