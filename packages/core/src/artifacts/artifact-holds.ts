/**
 * Who holds which artifact. Work on an artifact's files (placing, reading) puts its removal off until
 * the work is done.
 */
export class ArtifactHolds {
  readonly #remove: (root: string) => Promise<void>
  readonly #holders = new Map<string, Set<string>>()
  readonly #users = new Map<string, number>()
  readonly #unwanted = new Set<string>()

  constructor(remove: (root: string) => Promise<void>) {
    this.#remove = remove
  }

  /** Who holds it, first come first. */
  holdersOf(root: string): string[] {
    return [...(this.#holders.get(root) ?? [])]
  }

  isHeld(root: string): boolean {
    return this.#holders.has(root)
  }

  /** Somebody works on its files. */
  isUsed(root: string): boolean {
    return this.#users.has(root)
  }

  retain(root: string, holder: string): void {
    const holders = this.#holders.get(root)
    if (holders === undefined) this.#holders.set(root, new Set([holder]))
    else holders.add(holder)
    this.#unwanted.delete(root)
  }

  async release(root: string, holder: string): Promise<void> {
    const holders = this.#holders.get(root)
    holders?.delete(holder)
    if (holders?.size === 0) this.#holders.delete(root)
    await this.removeUnlessHeld(root)
  }

  async removeUnlessHeld(root: string): Promise<void> {
    if (this.#holders.has(root)) return
    if (this.#users.has(root)) this.#unwanted.add(root)
    else await this.#remove(root)
  }

  /** Keeps the files while `work` runs. */
  async during<Value>(root: string, work: () => Promise<Value>): Promise<Value> {
    this.#users.set(root, (this.#users.get(root) ?? 0) + 1)
    try {
      return await work()
    } finally {
      const users = this.#users.get(root)! - 1
      if (users > 0) this.#users.set(root, users)
      else {
        this.#users.delete(root)
        if (this.#unwanted.delete(root)) await this.removeUnlessHeld(root)
      }
    }
  }
}
