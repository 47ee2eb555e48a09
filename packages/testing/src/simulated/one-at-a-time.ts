/** Whoever takes a turn has it until it is given back; the others come in the order in which they asked. */
export class OneAtATime {
  #last: Promise<void> = Promise.resolve()

  /** Resolves with what gives the turn back. */
  async turn(): Promise<() => void> {
    const before = this.#last
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#last = promise
    await before
    return resolve
  }
}
