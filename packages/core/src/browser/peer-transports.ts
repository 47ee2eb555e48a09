import { noise } from '@libp2p/noise'
import { webSockets } from '@libp2p/websockets'
import type { Libp2pOptions } from 'libp2p'
import { ManyhandsError } from '../errors.ts'
import type { Wanted } from '../network/peer-transports.ts'

// Stands for network/peer-transports.ts in a browser, which dials websockets and listens to nobody.

export async function peerTransports(): Promise<NonNullable<Libp2pOptions['transports']>> {
  return [webSockets()]
}

export function assertPossible({ listen, mdns }: Wanted): void {
  if (listen.length === 0 && !mdns) return
  const what = mdns ? 'mdns finds nobody' : `nobody can come to ${listen.join(', ')}`
  throw new ManyhandsError('CONFIG_INVALID', `${what}: a browser only dials`, {
    hint: 'Leave network.listen and network.mdns out, and name hosts in network.bootstrap: /dns4/HOST/tcp/443/tls/ws, or /ip4/127.0.0.1/tcp/PORT/ws on this computer.',
  })
}

export function connectionEncrypters(): NonNullable<Libp2pOptions['connectionEncrypters']> {
  return [noise()]
}

/** Nothing is heard of the local network; who asks for it was told before. */
export async function localDiscovery(): Promise<NonNullable<Libp2pOptions['peerDiscovery']>> {
  return []
}
