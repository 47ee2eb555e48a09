import { TRANSFER } from '../artifacts/transfer-limits.ts'

/** What was opened by path: a few that were used last stay open. */
export class OpenFiles<Open> {
  /** Least recently used first. */
  readonly #open = new Map<string, Open>()
  readonly #close: (open: Open) => void

  constructor(close: (open: Open) => void) {
    this.#close = close
  }

  /** @param open - undefined: there is nothing to open */
  get<Opened extends Open | undefined>(path: string, open: () => Opened): Opened {
    const known = this.#open.get(path)
    const opened = known ?? open()
    if (opened === undefined) return opened as Opened
    this.#open.delete(path)
    this.#open.set(path, opened)
    for (const oldest of this.#open.keys()) {
      if (this.#open.size <= TRANSFER.filesOpen) break
      this.forget(oldest)
    }
    return opened as Opened
  }

  /** Closes one. */
  forget(path: string): void {
    const open = this.#open.get(path)
    this.#open.delete(path)
    if (open !== undefined) this.#close(open)
  }

  close(): void {
    for (const path of [...this.#open.keys()]) this.forget(path)
  }
}
