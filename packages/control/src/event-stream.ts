import type { Context } from 'hono'

/**
 * Answers with a stream of JSON documents: server-sent events, or lines for a caller that accepts
 * `application/x-ndjson`. Reads from the source only as fast as the caller takes. `onEnd` is called
 * once, however the stream ends.
 */
export function eventStream(
  context: Context,
  event: string,
  open: (signal: AbortSignal) => AsyncIterable<unknown>,
  onEnd: () => void,
): Response {
  const lines = context.req.header('accept')?.includes('application/x-ndjson') === true
  const encoder = new TextEncoder()
  const abort = new AbortController()
  let iterator: AsyncIterator<unknown> | undefined
  let ended = false
  const end = () => {
    if (ended) return
    ended = true
    onEnd()
  }
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        iterator = open(abort.signal)[Symbol.asyncIterator]()
        // Something has to be written before the first sample, or the caller sees no headers until then.
        controller.enqueue(encoder.encode(lines ? '\n' : ': open\n\n'))
      },
      async pull(controller) {
        try {
          const { done, value } = await iterator!.next()
          if (done === true) {
            end()
            controller.close()
            return
          }
          const json = JSON.stringify(value)
          const text = lines ? `${json}\n` : `event: ${event}\ndata: ${json}\n\n`
          controller.enqueue(encoder.encode(text))
        } catch (error) {
          end()
          controller.error(error)
        }
      },
      cancel() {
        abort.abort()
        end()
        // Not awaited: a source that is waiting returns only after its signal.
        iterator?.return?.().catch(() => {})
      },
    },
    { highWaterMark: 0 },
  )
  return new Response(body, {
    headers: {
      'content-type': lines ? 'application/x-ndjson' : 'text/event-stream',
      'cache-control': 'no-store',
    },
  })
}
