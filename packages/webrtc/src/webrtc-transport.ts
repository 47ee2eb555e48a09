import type { Startable, Transport } from '@libp2p/interface'
import { type WebRTCTransportComponents, webRTC } from '@libp2p/webrtc'
import { cleanup } from 'node-datachannel'
import type { IceServer } from './ice-servers.ts'
import { SignallingGuard } from './signalling-guard.ts'

/** Transports of this process, all of which share the native library. */
let open = 0

/** Loaded when a network that wants it is made: it comes with native code. */
export function createWebRtcTransport(iceServers: IceServer[]) {
  const create = webRTC({ rtcConfiguration: { iceServers } })
  return (components: WebRTCTransportComponents): Transport => {
    const transport = create(new SignallingGuard().before(components)) as Transport & Startable
    const { start, stop } = transport
    transport.start = async () => {
      open += 1
      await start.call(transport)
    }
    transport.stop = async () => {
      await stop.call(transport)
      open -= 1
      // A connection that the other side ended first keeps the process alive otherwise.
      if (open === 0) cleanup()
    }
    return transport
  }
}
