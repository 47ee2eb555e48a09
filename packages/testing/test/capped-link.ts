import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** Bytes that may pass at once. */
const BURST = 256 * 1024

/**
 * A TCP link to a port of this computer through which no more than so many bytes pass a second, in each
 * direction. It has a loopback address of its own, at which nothing else listens: who connects here cannot
 * find a way around it.
 */
export class CappedLink implements AsyncDisposable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(port: number, bytesPerSecond: number) {
    this.#server = createServer((near) => {
      const far = connect(port, '127.0.0.1')
      for (const socket of [near, far]) {
        this.#sockets.add(socket)
        socket.on('error', () => {})
        socket.on('close', () => {
          this.#sockets.delete(socket)
          near.destroy()
          far.destroy()
        })
      }
      void pass(near, far, bytesPerSecond)
      void pass(far, near, bytesPerSecond)
    })
  }

  /** @param target - a peer's TCP address, `/ip4/127.0.0.1/tcp/PORT/p2p/PEER` */
  static async to(target: string, bytesPerSecond: number): Promise<[CappedLink, string]> {
    const port = Number(/\/tcp\/(\d+)/.exec(target)![1])
    const link = new CappedLink(port, bytesPerSecond)
    link.#server.listen(0, '127.0.0.2')
    await once(link.#server, 'listening')
    const own = (link.#server.address() as AddressInfo).port
    return [link, target.replace(`/ip4/127.0.0.1/tcp/${port}`, `/ip4/127.0.0.2/tcp/${own}`)]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

async function pass(from: Socket, to: Socket, bytesPerSecond: number): Promise<void> {
  let freeAt = performance.now()
  try {
    for await (const bytes of from as AsyncIterable<Buffer>) {
      for (let at = 0; at < bytes.length; at += BURST) {
        const piece = bytes.subarray(at, at + BURST)
        const waitMs = freeAt - performance.now()
        if (waitMs > 1) await delay(waitMs)
        freeAt = Math.max(freeAt, performance.now()) + (piece.length * 1000) / bytesPerSecond
        if (!to.write(piece)) await once(to, 'drain')
      }
    }
    to.end()
  } catch {
    to.destroy()
  }
}
