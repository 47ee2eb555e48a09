import { Buffer as BufferOfPackage } from 'buffer'
import { process } from './node-process.ts'

// Globals of Node that our code uses, for a browser; the build puts them in their places.

export { AsyncDisposableStack, asyncDispose } from './disposal.ts'
export { process }

/** Timers as Node gives them: nothing keeps a page alive, so there is nothing to let go. */
class Timer {
  readonly id: number
  readonly #clear: (id: number) => void

  constructor(id: unknown, clear: (id: number) => void) {
    this.id = id as number
    this.#clear = clear
  }

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }

  hasRef(): boolean {
    return false
  }

  refresh(): this {
    return this
  }

  clear(): void {
    this.#clear(this.id)
  }
}

type Work = (...args: unknown[]) => void

// Asked for when they are called: tests put other clocks there.
export function setTimeout(work: Work, ms?: number, ...args: unknown[]): Timer {
  return new Timer(globalThis.setTimeout(work, ms, ...args), (id) => globalThis.clearTimeout(id))
}

export function setInterval(work: Work, ms?: number, ...args: unknown[]): Timer {
  return new Timer(globalThis.setInterval(work, ms, ...args), (id) => globalThis.clearInterval(id))
}

export function clearTimeout(timer: Timer | undefined): void {
  timer?.clear()
}

export function clearInterval(timer: Timer | undefined): void {
  timer?.clear()
}

/** Runs with the next turn: a timer of 0 ms would wait for 4, and in a hidden page for a second. */
export function setImmediate(work: Work, ...args: unknown[]): Immediate {
  const immediate = new Immediate(() => work(...args))
  turns.push(immediate)
  nextTurn ??= openTurns()
  nextTurn.postMessage(undefined)
  return immediate
}

export function clearImmediate(immediate: Immediate | undefined): void {
  immediate?.cancel()
}

class Immediate {
  #work: (() => void) | undefined

  constructor(work: () => void) {
    this.#work = work
  }

  run(): void {
    this.#work?.()
  }

  cancel(): void {
    this.#work = undefined
  }

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }
}

const turns: Immediate[] = []
let nextTurn: { postMessage(message: unknown): void } | undefined

function openTurns(): { postMessage(message: unknown): void } {
  const { port1, port2 } = new globalThis.MessageChannel()
  port1.addEventListener('message', () => turns.shift()?.run())
  port1.start()
  return port2
}

type ToText = (encoding?: string, start?: number, end?: number) => string
type FromText = (value: string, encoding?: string, length?: number) => BufferOfPackage

/** The package's, and what it lacks of Node's: `base64url`, and bytes that are no Buffer to compare with. */
function completed(): typeof BufferOfPackage {
  const from = BufferOfPackage.from as unknown as FromText
  const toText = BufferOfPackage.prototype.toString as ToText
  // It reads both alphabets as they are.
  const ours: FromText = (value, encoding, length) =>
    from(value, encoding === 'base64url' ? 'base64' : encoding, length)
  function text(this: BufferOfPackage, ...[encoding, start, end]: Parameters<ToText>): string {
    if (encoding !== 'base64url') return toText.call(this, encoding, start, end)
    const base64 = toText.call(this, 'base64', start, end)
    return base64.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
  }
  function equals(this: BufferOfPackage, other: Uint8Array): boolean {
    return BufferOfPackage.compare(this, other) === 0
  }
  Object.assign(BufferOfPackage.prototype, { toString: text, equals })
  return Object.assign(BufferOfPackage, { from: ours }) as typeof BufferOfPackage
}

export const Buffer = completed()
