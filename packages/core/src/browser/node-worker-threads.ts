// What stands for node:worker_threads in a browser: ports between parts of one thread, which do not copy.

type Listener = (message?: unknown) => void

/** One end of a channel. Messages come in order and never in the turn in which they were sent. */
export class MessagePort {
  #other: MessagePort | undefined
  readonly #listeners = { message: new Set<Listener>(), close: new Set<Listener>() }
  #early: unknown[] = []
  #closed = false

  /** @internal */
  static join(one: MessagePort, other: MessagePort): void {
    one.#other = other
    other.#other = one
  }

  on(event: 'message' | 'close', listener: Listener): this {
    this.#listeners[event].add(listener)
    if (event === 'message') {
      for (const message of this.#early.splice(0)) queueMicrotask(() => this.#tell(message))
    }
    return this
  }

  off(event: 'message' | 'close', listener: Listener): this {
    this.#listeners[event].delete(listener)
    return this
  }

  postMessage(message: unknown): void {
    const other = this.#other
    if (this.#closed || other === undefined) return
    queueMicrotask(() => other.#tell(message))
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    const other = this.#other
    // After what was sent before.
    queueMicrotask(() => {
      other?.close()
      for (const listener of this.#listeners.close) listener()
    })
  }

  ref(): void {}

  unref(): void {}

  #tell(message: unknown): void {
    if (this.#listeners.message.size === 0) this.#early.push(message)
    else for (const listener of this.#listeners.message) listener(message)
  }
}

export class MessageChannel {
  readonly port1 = new MessagePort()
  readonly port2 = new MessagePort()

  constructor() {
    MessagePort.join(this.port1, this.port2)
  }
}
