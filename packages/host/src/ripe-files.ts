import { type LiveFile, sameFile } from '@manyhands/core'

/** A file that was not touched for so long of the task's own time counts as complete. */
const QUIET_MS = 2_000
/** A file that was taken and changed again waits so long, then twice as long each time, and this at most. */
const AGAIN_MS = { first: 2_000, most: 300_000 }

interface Seen {
  file: LiveFile
  /** Since when it is as it is. */
  sinceMs: number
}

interface Taken {
  file: LiveFile
  /** Before that it is not taken again. */
  notBeforeMs: number
  waitMs: number
}

/**
 * Tells from one look at a directory to the next which files in it a running task has completed. Nobody
 * says so; what does is a rename, which leaves the time of change after the time of the last write, or
 * that nothing was written for a while. To be wrong costs a transfer: a file that changes is told again.
 */
export class RipeFiles {
  #seen = new Map<string, Seen>()
  /** Names by inode, of the last look. */
  #names = new Map<bigint, string>()
  readonly #taken = new Map<string, Taken>()

  /**
   * @param files - all that there are now
   * @param nowMs - a clock that stands still while the task does
   * @returns `ripe`: those to be taken; `pending`: whether more may follow soon
   */
  look(files: LiveFile[], nowMs: number): { ripe: LiveFile[]; pending: boolean } {
    const seen = new Map<string, Seen>()
    const names = new Map<bigint, string>()
    const ripe: LiveFile[] = []
    let pending = false
    for (const file of files) {
      const before = this.#seen.get(file.path)
      const same = before !== undefined && sameFile(before.file, file)
      const sinceMs = same ? before.sinceMs : nowMs
      seen.set(file.path, { file, sinceMs })
      names.set(file.ino, file.path)
      const taken = this.#taken.get(file.path)
      if (taken !== undefined && sameFile(taken.file, file)) continue
      const otherName = this.#names.get(file.ino)
      const renamed = file.ctimeNs > file.mtimeNs
      const complete =
        (renamed && (same || (otherName !== undefined && otherName !== file.path))) ||
        (same && nowMs - sinceMs >= QUIET_MS)
      if (complete && nowMs >= (taken?.notBeforeMs ?? 0)) ripe.push(file)
      else pending = true
    }
    this.#seen = seen
    this.#names = names
    return { ripe, pending }
  }

  /** It was taken, or never will be as it is. */
  took(file: LiveFile, nowMs: number): void {
    const before = this.#taken.get(file.path)
    const waitMs = Math.min(
      AGAIN_MS.most,
      before === undefined ? AGAIN_MS.first : 2 * before.waitMs,
    )
    this.#taken.set(file.path, { file, notBeforeMs: nowMs + waitMs, waitMs })
  }
}
