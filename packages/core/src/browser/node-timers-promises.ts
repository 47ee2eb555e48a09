import { setImmediate as immediately } from './globals.ts'

// What stands for node:timers/promises in a browser.

/** @throws an AbortError whose cause is the signal's reason, as Node's */
export function setTimeout<Value>(
  ms = 0,
  value?: Value,
  { signal }: { signal?: AbortSignal; ref?: boolean } = {},
): Promise<Value | undefined> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      globalThis.clearTimeout(timer)
      reject(new AbortError(signal?.reason))
    }
    if (signal?.aborted) return reject(new AbortError(signal.reason))
    const timer = globalThis.setTimeout(() => {
      signal?.removeEventListener('abort', abort)
      resolve(value)
    }, ms)
    signal?.addEventListener('abort', abort, { once: true })
  })
}

export function setImmediate<Value>(value?: Value): Promise<Value | undefined> {
  return new Promise((resolve) => {
    immediately(() => resolve(value))
  })
}

class AbortError extends Error {
  override readonly name = 'AbortError'
  readonly code = 'ABORT_ERR'

  constructor(cause: unknown) {
    super('The operation was aborted', { cause })
  }
}
