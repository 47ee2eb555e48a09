/** Lines of a text one after the other, without a list of all of them. */
export class TextLines {
  readonly #text: string
  #at = 0

  constructor(bytes: Uint8Array) {
    // What is no UTF-8 becomes other letters, and then no number.
    this.#text = new TextDecoder().decode(bytes)
  }

  /** The next line, without its end; undefined when there is none. */
  next(): string | undefined {
    if (this.#at >= this.#text.length) return undefined
    const end = this.#text.indexOf('\n', this.#at)
    const until = end < 0 ? this.#text.length : end
    const line = this.#text.slice(this.#at, until)
    this.#at = until + 1
    return line.endsWith('\r') ? line.slice(0, -1) : line
  }
}
