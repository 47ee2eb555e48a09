import type { Socket } from 'node:net'
import type { Transport } from '@libp2p/interface'
import { type TCPComponents, type TCPDialOptions, tcp } from '@libp2p/tcp'
import { eagerly } from './eager-connect.ts'

/** What of the transport's class is used below; not in its declared type. */
interface Connecting {
  _connect(address: unknown, options: TCPDialOptions): Promise<Socket>
}

/**
 * TCP as libp2p has it, but for one defect of @libp2p/tcp 11: it hands the signal of a dial to
 * `net.connect` too, which at an abort ends the socket with an error that nobody listens to any more,
 * and so the process. Here Node does not see the signal; the transport's own listener ends the dial.
 * And first packets are repeated sooner than the kernel does.
 */
export function tcpTransport(): (components: TCPComponents) => Transport {
  // Idle clients stay connected; dead peers are found by the connection monitor.
  const create = tcp({ inboundSocketInactivityTimeout: 0, outboundSocketInactivityTimeout: 0 })
  return (components) => {
    const transport = create(components) as Transport & Connecting
    const connect = transport._connect.bind(transport)
    transport._connect = (address, { signal: whole, ...options }) =>
      eagerly(
        (signal) =>
          // The options are spread into those of `net.connect`, which takes what is their own alone.
          connect(address, Object.assign(Object.create({ signal }), options) as TCPDialOptions),
        whole,
      )
    return transport
  }
}
