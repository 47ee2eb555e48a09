import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import type { GossipSub } from '@libp2p/gossipsub'
import { identify } from '@libp2p/identify'
import type { Libp2p, ServiceMap } from '@libp2p/interface'
import { type Ping, ping } from '@libp2p/ping'
import { createLibp2p, type Libp2pOptions } from 'libp2p'
import { LIMITS } from '../limits.ts'
import type { MembershipSession } from '../membership/membership-session.ts'
import { announcedListeners } from './announced-listeners.ts'
import type { DialRules } from './dial-rules.ts'
import { joinedGaters } from './manners/gaters.ts'
import { Manners } from './manners/manners.ts'
import { guardConnection, guardedYamux } from './manners/muxer-guard.ts'
import type { Logger } from './network.ts'
import type { PeerGate } from './peer-gate.ts'
import {
  assertPossible,
  connectionEncrypters,
  localDiscovery,
  peerTransports,
} from './peer-transports.ts'
import type { PortMapper, PortMapperParts } from './port-mapping/port-mapper.ts'
import { NodeInside } from './reach/node-inside.ts'
import type { RelayQuotas } from './reach/relay-options.ts'
import { type RelayService, relayService } from './reach/relay-service.ts'
import { type RelayTransport, relayTransport } from './reach/relay-transport.ts'
import type { ServerCertificate } from './server-certificate.ts'
import type { TransportPlugin } from './transport-plugin.ts'

type Transports = NonNullable<Libp2pOptions['transports']>

export interface NodeServices extends ServiceMap {
  ping: Ping
  /** What reservations at relays are made with. */
  circuits: RelayTransport
  inside: NodeInside
  relay?: RelayService
  gossip?: GossipSub
  upnp?: PortMapper
}

export type Libp2pNode = Libp2p<NodeServices>

export interface NodeOptions {
  seed: Uint8Array
  listen: string[]
  mdns: boolean
  gossip: boolean
  gate: PeerGate
  transports?: readonly TransportPlugin[]
  /** What is held against others; default: something of its own. */
  manners?: Manners
  /** Which addresses are dialed; default: all. */
  rules?: DialRules
  /** Of a private network: nobody else gets through. */
  session?: MembershipSession
  /** How often the router is asked for our ports, ms; undefined: not at all. */
  upnpRenewMs?: number
  tls?: ServerCertificate
  logger?: Logger
  /** What this node carries for others; default: nothing. */
  relay?: RelayQuotas
}

/** Connections are refused at our own door, before the stock limits bite. */
const AMPLE = 4 * LIMITS.connections

/**
 * The libp2p node below a network, not started. This module is loaded when the first network is
 * made: importing libp2p takes longer than a program that never connects wants to wait.
 *
 * @throws CONFIG_INVALID when what is asked for cannot be had here
 */
export async function createNode(options: NodeOptions): Promise<Libp2pNode> {
  assertPossible(options)
  const { manners = new Manners(), upnpRenewMs: renewMs, logger } = options
  const [plugged, gossip, mapping, peerDiscovery] = await Promise.all([
    Promise.all((options.transports ?? []).map((plugin) => plugin.create())),
    options.gossip ? import('@libp2p/gossipsub') : undefined,
    renewMs === undefined ? undefined : import('./port-mapping/port-mapper.ts'),
    options.mdns ? localDiscovery(options.session?.mdnsTag) : [],
  ])
  const { relay } = options
  const circuits = relayTransport()
  const node = await createLibp2p({
    start: false,
    privateKey: await generateKeyPairFromSeed('Ed25519', options.seed),
    addresses: { listen: options.listen },
    nodeInfo: { name: 'manyhands', version: '1', userAgent: 'manyhands/1' },
    transports: [...(await peerTransports(options)), circuits.create, ...(plugged as Transports)],
    connectionEncrypters: connectionEncrypters().map(
      (create) => options.session?.proving(create) ?? create,
    ),
    ...(options.session === undefined
      ? {}
      : { connectionProtector: () => options.session!.protector() }),
    streamMuxers: [
      guardedYamux(
        {
          // Of all protocols together.
          maxInboundStreams: 4 * LIMITS.streamsPerPeer,
          maxOutboundStreams: 4 * LIMITS.streamsPerPeer,
          streamOptions: {
            // The window must stay below the read buffer, or a slow reader is cut off.
            maxStreamWindowSize: LIMITS.streamCreditBytes,
            maxReadBufferLength: 2 * LIMITS.streamCreditBytes,
          },
        },
        manners,
      ),
    ],
    connectionGater: joinedGaters(
      options.gate.gater(),
      manners.gater(),
      options.rules?.gater() ?? {},
    ),
    connectionManager: {
      maxConnections: AMPLE,
      maxIncomingPendingConnections: AMPLE,
      // Many hosts behind one address are one address to us.
      inboundConnectionThreshold: AMPLE,
      // The door ends what takes too long; a stall of ours is not counted there.
      inboundUpgradeTimeout: 2 * LIMITS.upgradeMs,
      inboundStreamProtocolNegotiationTimeout: LIMITS.agreeMs,
      dialTimeout: LIMITS.dialTimeoutMs,
      addressDialTimeout: LIMITS.dialTimeoutMs,
      // Redialing is the bootstrap's and the upper layers' business.
      reconnectRetries: 0,
    },
    // A host that stalls for a moment is not lost. Pings are most of what an idle member costs, and who
    // works together has leases, which notice sooner.
    connectionMonitor: {
      pingInterval: 30_000,
      pingTimeout: { minTimeout: 15_000, maxTimeout: 30_000 },
    },
    peerDiscovery,
    services: {
      identify: identify(),
      ping: ping(),
      listeners: announcedListeners(),
      circuits: () => circuits,
      inside: (parts) => new NodeInside(parts),
      ...(relay === undefined ? {} : { relay: relayService(relay) }),
      ...(gossip === undefined ? {} : { gossip: gossipService(gossip) }),
      ...(mapping === undefined || renewMs === undefined
        ? {}
        : { upnp: (parts: PortMapperParts) => new mapping.PortMapper(parts, { renewMs, logger }) }),
    },
  })
  node.addEventListener('connection:open', ({ detail }) => {
    guardConnection(detail, detail.remotePeer.toString())
  })
  return node as unknown as Libp2pNode
}

function gossipService({ gossipsub, StrictNoSign }: typeof import('@libp2p/gossipsub')) {
  return gossipsub({
    // Offers carry their own signature.
    globalSignaturePolicy: StrictNoSign,
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    // Announcements are small and few: each goes to some, and nobody is told who has it already.
    ...{ D: 4, Dlo: 3, Dhi: 8, Dscore: 2, Dout: 2, Dlazy: 3, gossipFactor: 0 },
    idontwantMinDataSize: LIMITS.offerBytes,
    // Peers behind one address are no attack: without this they lose messages.
    scoreParams: { IPColocationFactorWeight: 0 },
    maxInboundDataLength: 64 * LIMITS.offerBytes,
  })
}
