import type { ConnectionKind, PeerConnection } from '@manyhands/core'
import type { Host } from '@manyhands/host'
import { CONTROL_LIMITS } from './control-limits.ts'
import type { MetricsText, Series } from './prometheus-format.ts'

const KINDS: ConnectionKind[] = ['direct', 'reversed', 'webrtc', 'relayed']

/** A host's part in its network: who is connected and how, what is known, who is refused. */
export function networkMetrics(text: MetricsText, host: Host): void {
  const connections = host.connections()
  const { offersKnown, gossip, bytesIn, bytesOut } = host.networkStatus()
  const peers = new Set(connections.map(({ peer }) => peer))
  text.gauge('peers', 'Peers with a live connection.', [[{}, peers.size]])
  text.gauge(
    'connections',
    'Live connections by kind and by who made them.',
    KINDS.flatMap((kind) =>
      (['inbound', 'outbound'] as const).map((direction): Series => {
        const such = connections.filter((one) => one.kind === kind && one.direction === direction)
        return [{ kind, direction }, such.length]
      }),
    ),
  )
  peerMetrics(text, connections.slice(0, CONTROL_LIMITS.metricSeries))
  text.counter('network_bytes', 'Bytes over connections, without bulk data beside them.', [
    [{ direction: 'up' }, bytesOut],
    [{ direction: 'down' }, bytesIn],
  ])
  text.gauge('offers_known', 'Other hosts of which an offer is believed.', [[{}, offersKnown]])
  text.counter(
    'gossip_announcements',
    'Announcements of offers by gossip: told, heard as news, known already, malformed or forged.',
    Object.entries(gossip ?? {}).map(([what, count]): Series => [{ what }, count]),
  )
  const { offences, bans, refused } = host.offences()
  text.gauge('banned', 'Peers and addresses that are refused for a while.', [
    [{}, host.bans().length],
  ])
  text.counter('bans', 'Bans since the start.', [[{}, bans]])
  text.counter('connections_refused', 'Connections refused or cut for a ban or for want of room.', [
    [{}, refused],
  ])
  text.counter(
    'offences',
    'What others did against good manners, by what it was.',
    Object.entries(offences).map(([offence, count]): Series => [{ offence }, count]),
  )
}

function peerMetrics(text: MetricsText, connections: PeerConnection[]): void {
  // Of several connections to one peer the one that is quickest.
  const rtts = new Map<string, number>()
  for (const { peer, rttMs } of connections) {
    if (rttMs !== undefined) rtts.set(peer, Math.min(rttMs, rtts.get(peer) ?? rttMs))
  }
  text.gauge(
    'peer_rtt_seconds',
    'How long a word to a peer and back takes.',
    [...rtts].map(([peer, ms]): Series => [{ peer }, ms / 1000]),
  )
}
