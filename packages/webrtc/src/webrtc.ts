import { ManyhandsError, type TransportPlugin } from '@manyhands/core'
import { checkServers, iceServers } from './ice-servers.ts'
import type { WebRtcOptions } from './webrtc-options.ts'

/**
 * Connections by WebRTC between peers that are both behind home routers: the two agree over a connection that
 * they have by a relay, then find a way of their own (ICE). Both of them need this package.
 *
 * @example
 * const network = { relays: ['/ip4/…'], transports: [webrtc({ stun: ['stun:stun.example.org:3478'] })] }
 *
 * @throws CONFIG_INVALID naming the server that is not one
 */
export function webrtc(options: WebRtcOptions = {}): TransportPlugin {
  checkServers(options)
  return {
    name: 'webrtc',
    async create() {
      try {
        const { createWebRtcTransport } = await import('./webrtc-transport.ts')
        return createWebRtcTransport(iceServers(options))
      } catch (cause) {
        throw new ManyhandsError(
          'CONFIG_INVALID',
          `WebRTC cannot be loaded on this computer: ${(cause as Error).message}`,
          {
            cause,
            hint: 'Install @manyhands/webrtc again with its optional dependencies, or go without it.',
          },
        )
      }
    },
  }
}
