import type { Readable } from 'node:stream'
import { ManyhandsError } from '@manyhands/core'
import { engineError } from '../engine-error.ts'

export interface StreamBounds {
  /** For messages. */
  what: string
  maxBytes: number
  /** How long nothing may come, ms. */
  stallMs: number
  signal?: AbortSignal
}

/** What an engine sends, until it ends, sends too much or nothing for too long, or nobody wants it. */
export async function* boundedStream(
  stream: NodeJS.ReadableStream,
  { what, maxBytes, stallMs, signal }: StreamBounds,
): AsyncGenerator<Uint8Array> {
  const source = stream as Readable
  const onAbort = () => source.destroy(signal!.reason as Error)
  signal?.addEventListener('abort', onAbort, { once: true })
  if (signal?.aborted) onAbort()
  let received = 0
  const stalled = () => {
    const error = new ManyhandsError(
      'RUNTIME_UNAVAILABLE',
      `${what}: nothing came for ${stallMs} ms`,
    )
    source.destroy(error)
  }
  const timer = setTimeout(stalled, stallMs)
  timer.unref()
  try {
    for await (const chunk of source) {
      received += (chunk as Uint8Array).length
      if (received > maxBytes) {
        throw new ManyhandsError('IMAGE_INVALID', `${what} is larger than ${maxBytes} bytes`)
      }
      yield chunk as Uint8Array
      timer.refresh()
    }
  } catch (error) {
    signal?.throwIfAborted()
    throw engineError(error, what)
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
    source.destroy()
  }
}
