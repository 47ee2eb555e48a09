import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'

/** A TCP proxy before a server on loopback; what goes to the server goes slowly. */
export interface SlowLink extends AsyncDisposable {
  port: number
}

export async function startSlowLink(to: number, bytesPerSecond: number): Promise<SlowLink> {
  const server = createServer((socket) => {
    const target = connect(to, '127.0.0.1')
    const throttle = new Transform({
      // A small buffer, or what is slow here would look fast to the sender.
      highWaterMark: 16 * 1024,
      transform(bytes: Buffer, _encoding, done) {
        delay((bytes.length * 1000) / bytesPerSecond).then(() => done(null, bytes), done)
      },
    })
    pipeline(socket, throttle, target).catch(() => target.destroy())
    pipeline(target, socket).catch(() => socket.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const sockets = new Set<{ destroy(): void }>()
  server.on('connection', (socket) => sockets.add(socket))
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
