import type { PeerDiscovery, Startable } from '@libp2p/interface'
import { type MulticastDNSComponents, mdns } from '@libp2p/mdns'

/** A question that was lost is asked again so long after the start, ms; later every ten seconds. */
const AGAIN_MS = [250, 1_000, 3_000]

/** What of the discovery's class is used below; not in its declared type. */
interface Asking extends PeerDiscovery, Startable {
  /** Undefined before the start and after the end. */
  mdns?: { query(question: { questions: { name: string; type: 'PTR' }[] }): void }
}

/**
 * Multicast DNS as libp2p has it, but for its patience: it asks once at its start and then after ten
 * seconds, and on a wireless network one packet in some is lost.
 */
export function lanDiscovery(
  serviceTag: string,
): (components: MulticastDNSComponents) => PeerDiscovery {
  const create = mdns({ serviceTag })
  return (components) => {
    const discovery = create(components) as Asking
    const start = discovery.start.bind(discovery)
    discovery.start = async () => {
      await start()
      const ask = () => discovery.mdns?.query({ questions: [{ name: serviceTag, type: 'PTR' }] })
      for (const ms of AGAIN_MS) setTimeout(ask, ms).unref()
    }
    return discovery
  }
}
