import { TRANSFER } from '../artifacts/transfer-limits.ts'

/** Which blocks came, told to all who listen: some at a time, or there would be a message for each. */
export class BlockNews {
  readonly #listeners = new Set<(blocks: number[]) => void>()
  #untold: number[] = []
  #timer: NodeJS.Timeout | undefined

  listen(listener: (blocks: number[]) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  tell(blocks: number[]): void {
    for (const block of blocks) this.#untold.push(block)
    if (this.#timer !== undefined || this.#untold.length === 0) return
    this.#timer = setTimeout(() => this.#tellNow(), TRANSFER.newsMs).unref()
  }

  /** There will be no more: what is untold is told at once. */
  end(): void {
    this.#tellNow()
  }

  #tellNow(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const news = this.#untold
    this.#untold = []
    if (news.length > 0) for (const listener of this.#listeners) listener(news)
  }
}
