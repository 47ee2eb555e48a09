import type { Connection, Stream } from '@libp2p/interface'
import { ManyhandsError } from '@manyhands/core'

type Handler = (stream: Stream, connection: Connection) => unknown

/** What of the node's registrar is used by the transport. */
export interface Registrar {
  handle(protocol: string, handler: Handler, options?: object): Promise<void>
}

/** What of the node's upgrader is used by the transport, and looked at here. */
export interface Upgrader {
  upgradeInbound(half: { peerConnection?: { connectionState: string } }, options: object): unknown
}

/** Talks under way at once with all peers, and with one: each of them holds sockets and memory outside of V8. */
export const TALKS = { all: 32, perPeer: 2 } as const

/**
 * Stands before the part of the transport that answers peers who want a connection. The transport believes
 * who its peer is from the address of the connection that they talk over, and the new connection is of
 * that peer without further proof: here that address has to name who has proven to be at its other end.
 */
export class SignallingGuard {
  readonly #open = new Map<string, number>()
  #all = 0

  /** The same parts, with what answers behind this guard. */
  before<Parts extends { registrar: object; upgrader: object }>(parts: Parts): Parts {
    const registrar = parts.registrar as Registrar
    const upgrader = parts.upgrader as Upgrader
    const guarded = Object.create(registrar, {
      handle: {
        value: (protocol: string, handler: Handler, options?: object) =>
          registrar.handle(protocol, this.#guarded(handler), options),
      },
    })
    // When the talk ends before a way was found, the transport takes the way for found.
    const careful = Object.create(upgrader, {
      upgradeInbound: {
        value: async (half: Parameters<Upgrader['upgradeInbound']>[0], options: object) => {
          if (half.peerConnection?.connectionState !== 'connected') {
            throw new ManyhandsError('CONNECT_FAILED', 'the peer left before a way was found')
          }
          return await upgrader.upgradeInbound(half, options)
        },
      },
    })
    return Object.create(parts, { registrar: { value: guarded }, upgrader: { value: careful } })
  }

  #guarded(handler: Handler): Handler {
    return (stream, connection) => {
      const peer = connection.remotePeer.toString()
      const named = connection.remoteAddr.getComponents().findLast(({ name }) => name === 'p2p')
      if (named?.value !== peer) {
        return stream.abort(
          new ManyhandsError('PROTOCOL', 'the address of the relay names another peer'),
        )
      }
      const open = this.#open.get(peer) ?? 0
      if (open >= TALKS.perPeer || this.#all >= TALKS.all) {
        return stream.abort(
          new ManyhandsError('LIMIT', 'too many WebRTC connections are being made'),
        )
      }
      this.#open.set(peer, open + 1)
      this.#all += 1
      stream.addEventListener('close', () => this.#ended(peer), { once: true })
      return handler(stream, connection)
    }
  }

  #ended(peer: string): void {
    this.#all -= 1
    const open = (this.#open.get(peer) ?? 1) - 1
    if (open > 0) this.#open.set(peer, open)
    else this.#open.delete(peer)
  }
}
