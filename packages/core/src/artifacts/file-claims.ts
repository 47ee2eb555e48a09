/**
 * Which transfer receives which file. Two artifacts may share a file and be fetched at once; only one
 * transfer writes it, the other waits and looks again.
 */
export class FileClaims {
  readonly #claims = new Map<string, { promise: Promise<void>; resolve: () => void }>()

  /** Takes a file; false when another transfer has it. */
  claim(id: string): boolean {
    if (this.#claims.has(id)) return false
    this.#claims.set(id, Promise.withResolvers<void>())
    return true
  }

  isClaimed(id: string): boolean {
    return this.#claims.has(id)
  }

  /** Resolves when whoever has the file is done with it, well or badly. */
  async released(id: string): Promise<void> {
    await this.#claims.get(id)?.promise
  }

  release(id: string): void {
    this.#claims.get(id)?.resolve()
    this.#claims.delete(id)
  }
}
