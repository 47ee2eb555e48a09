import type { TLSSocket } from 'node:tls'
import { ManyhandsError } from '../errors.ts'

/** Waits until a socket is secure. @throws PEER_GONE, what TLS says, or the signal's reason */
export function handshake(socket: TLSSocket, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error): void => {
      signal?.removeEventListener('abort', onAbort)
      socket.removeListener('secure', onSecure)
      socket.removeListener('error', settle)
      socket.removeListener('close', onClose)
      if (error === undefined) resolve()
      else reject(error)
    }
    const onSecure = (): void => settle()
    const onClose = (): void => {
      settle(new ManyhandsError('PEER_GONE', 'the peer closed the connection in the handshake'))
    }
    const onAbort = (): void => settle(signal?.reason as Error)
    socket.once('secure', onSecure)
    socket.once('error', settle)
    socket.once('close', onClose)
    if (signal?.aborted) return onAbort()
    signal?.addEventListener('abort', onAbort)
  })
}
