import { noise } from '@libp2p/noise'
import { webSockets } from '@libp2p/websockets'
import type { Libp2pOptions } from 'libp2p'
import { tcpTransport } from './tcp-transport.ts'
import { socketTls } from './tls-encrypter.ts'

/** What connections to peers are made of here. */
export function peerTransports(): NonNullable<Libp2pOptions['transports']> {
  return [tcpTransport(), webSockets()]
}

/** Whether what is asked for can be had here; see browser/peer-transports.ts. @throws CONFIG_INVALID */
export function assertPossible(_asked: { listen: readonly string[]; mdns: boolean }): void {}

/** How they are secured, the first that both sides have. */
export function connectionEncrypters(): NonNullable<Libp2pOptions['connectionEncrypters']> {
  return [socketTls(), noise()]
}

/** Finds peers of the local network that have the same tag. */
export async function localDiscovery(
  serviceTag = 'manyhands.local',
): Promise<NonNullable<Libp2pOptions['peerDiscovery']>> {
  const { mdns } = await import('@libp2p/mdns')
  return [mdns({ serviceTag })]
}
