import { noise } from '@libp2p/noise'
import { webSockets } from '@libp2p/websockets'
import type { Libp2pOptions } from 'libp2p'
import { ManyhandsError } from '../errors.ts'
import { readCertificate, type ServerCertificate } from './server-certificate.ts'
import { tcpTransport } from './tcp-transport.ts'
import { socketTls } from './tls-encrypter.ts'

/** What a node wants that not every place can give. */
export interface Wanted {
  listen: readonly string[]
  mdns: boolean
  tls?: ServerCertificate
}

/** What connections to peers are made of here. @throws CONFIG_INVALID */
export async function peerTransports({ tls }: Wanted): Promise<Transports> {
  const https = tls === undefined ? undefined : await readCertificate(tls)
  return [tcpTransport(), webSockets({ https })]
}

type Transports = NonNullable<Libp2pOptions['transports']>

/** Whether what is asked for can be had here; see browser/peer-transports.ts. @throws CONFIG_INVALID */
export function assertPossible({ listen, tls }: Wanted): void {
  const secure = listen.find((address) => /\/(wss|tls(\/sni\/[^/]+)?\/ws)(\/|$)/.test(address))
  if (secure === undefined || tls !== undefined) return
  throw new ManyhandsError(
    'CONFIG_INVALID',
    `${secure}: there is no certificate to serve it with`,
    {
      hint: 'Give network.tls: { key, cert }, or listen on /ws behind a proxy that has one.',
    },
  )
}

/** How they are secured, the first that both sides have. */
export function connectionEncrypters(): NonNullable<Libp2pOptions['connectionEncrypters']> {
  return [socketTls(), noise()]
}

/** Finds peers of the local network that have the same tag. */
export async function localDiscovery(
  serviceTag = 'manyhands.local',
): Promise<NonNullable<Libp2pOptions['peerDiscovery']>> {
  const { lanDiscovery } = await import('./lan-discovery.ts')
  return [lanDiscovery(serviceTag)]
}
