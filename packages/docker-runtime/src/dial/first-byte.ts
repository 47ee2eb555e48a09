import type { Socket } from 'node:net'
import { ManyhandsError } from '@manyhands/core'

/** Takes one byte and leaves all that follows it in the socket. Rejects when none comes. */
export function takeByte(socket: Socket, signal: AbortSignal): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const look = () => {
    const bytes: Buffer | null = socket.read(1)
    if (bytes !== null) done(() => resolve(bytes[0]!))
  }
  const gone = () =>
    done(() => reject(new ManyhandsError('CONNECT_FAILED', 'the connection was closed')))
  const abort = () =>
    done(() => {
      socket.destroy()
      reject(signal.reason)
    })
  const done = (settle: () => void) => {
    socket.off('readable', look)
    for (const event of ['end', 'close']) socket.off(event, gone)
    signal.removeEventListener('abort', abort)
    settle()
  }
  socket.on('readable', look)
  for (const event of ['end', 'close']) socket.on(event, gone)
  signal.addEventListener('abort', abort, { once: true })
  if (socket.destroyed) gone()
  else if (signal.aborted) abort()
  return promise
}
