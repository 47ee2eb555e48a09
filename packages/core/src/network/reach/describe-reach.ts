import type { PortMapping } from '../port-mapping/port-mapping.ts'
import type {
  Reachability,
  ReachableAddress,
  ReachHint,
  ReachKind,
  RelayLoad,
  UsedRelay,
} from './reachability.ts'
import type { KnownRelay } from './relay-keeper.ts'

export interface ReachFacts {
  addresses: ReachableAddress[]
  /** Addresses of ours over relays. */
  relayed: string[]
  relays: KnownRelay[]
  /** Whether others were asked to try. */
  asked: boolean
  /** What came of asking the router for ports; undefined when it was not asked. */
  mapping?: PortMapping | undefined
  relay?: RelayLoad
}

/** What is known, in words: how this peer is reached, why not better, and what to do. */
export function describeReach(facts: ReachFacts): Reachability {
  const kind = kindOfReach(facts)
  const { addresses, relayed, relay } = facts
  const relays = facts.relays
    .filter(({ named, state }) => named || state === 'reserved')
    .map(({ peer, state, why }): UsedRelay => ({ relay: peer, state, ...(why ? { why } : {}) }))
  const over = relayed.map(
    (address): ReachableAddress => ({ address, scope: 'relayed', state: 'unknown', by: [] }),
  )
  return {
    kind,
    summary: SUMMARIES[kind],
    addresses: [...addresses, ...over],
    relays,
    ...(relay === undefined ? {} : { relay }),
    hints: kind === 'direct' ? [] : hintsOf(facts, kind),
  }
}

const SUMMARIES: Record<ReachKind, string> = {
  direct: 'Peers everywhere can connect to it directly.',
  local: 'Peers of its own network can connect to it directly.',
  relayed: 'Peers reach it over a relay, and directly where they can be called back.',
  outgoing:
    'Nobody can connect to it: it is met where it connects itself, or where a neighbour asks it to.',
  unknown: 'It has addresses, and no peer elsewhere has tried yet whether they work.',
}

function kindOfReach({ addresses, relayed }: ReachFacts): ReachKind {
  const works = addresses.filter(({ state }) => state === 'reachable')
  if (works.some(({ scope }) => scope === 'public')) return 'direct'
  if (relayed.length > 0) return 'relayed'
  if (works.length > 0) return 'local'
  const open = addresses.filter(({ scope, mapped }) => scope !== 'computer' && mapped !== true)
  return open.some(({ state }) => state === 'unknown') ? 'unknown' : 'outgoing'
}

function hintsOf(facts: ReachFacts, kind: ReachKind): ReachHint[] {
  const { addresses, relays, relayed, mapping } = facts
  const listened = addresses.filter(({ mapped }) => mapped !== true)
  const open = listened.filter(({ scope }) => scope === 'public')
  const seen = addresses.find(({ mapped }) => mapped === true)
  const hints: ReachHint[] = []
  if (listened.length === 0) {
    hints.push({
      code: 'not-listening',
      message: 'it listens nowhere',
      todo: 'Listen: `--listen /ip4/0.0.0.0/tcp/4001`, or `listen` in the options.',
    })
  } else if (listened.every(({ scope }) => scope === 'computer')) {
    hints.push({
      code: 'this-computer-only',
      message: 'it listens on loopback addresses, which other computers cannot reach',
      todo: 'Listen on all interfaces: `--listen /ip4/0.0.0.0/tcp/4001`.',
    })
  } else if (open.some(({ state }) => state === 'unreachable')) {
    const { address, why } = open.find(({ state }) => state === 'unreachable')!
    hints.push({
      code: 'blocked',
      message: `others tried ${address}: ${why ?? 'it did not work'}`,
      todo: `Let TCP port ${portOf(address)} in: a firewall of this computer or of its network stops it.`,
    })
  } else if (seen !== undefined) {
    hints.push({
      code: 'behind-nat',
      message: `a router stands between: others see it at ${hostOf(seen.address)}${seen.why === undefined ? '' : `, where they tried port ${portOf(seen.address)}: ${seen.why}`}`,
      todo: `Have the router forward TCP port ${portOf(seen.address)} to this computer, with a fixed port in --listen${mapping === undefined ? '; or have it asked for that with --upnp' : ''}.`,
    })
  }
  if (mapping?.state === 'none') {
    hints.push({
      code: 'no-mapping',
      message: `no port is mapped: ${mapping.reason}`,
      todo: 'Switch UPnP on in the settings of the router, or forward a port there by hand.',
    })
  }
  if (addresses.length > 0 && kind === 'unknown') {
    hints.push({
      code: 'nobody-asked',
      message: 'no peer elsewhere could be asked whether its addresses work',
      todo: 'Connect to a peer in another network: `--bootstrap ADDR`.',
    })
  }
  const lost = relays.filter(({ named, state }) => named && state !== 'reserved')
  if (lost.length > 0) {
    const named = lost.map(({ peer, why }) => `${peer} (${why ?? 'being asked'})`).join(', ')
    hints.push({
      code: 'relay-lost',
      message: `no reservation at ${named}`,
      todo: 'Check that the relay runs and has room; it is tried again by itself.',
    })
  } else if (relayed.length === 0) {
    hints.push({
      code: 'no-relay',
      message: 'no relay is known',
      todo: 'Have a reachable peer run with `--relay`, and name it with `--use-relay ADDR` or connect to it.',
    })
  }
  return hints
}

const portOf = (address: string) => /\/tcp\/(\d+)/.exec(address)?.[1] ?? '?'
const hostOf = (address: string) => address.split('/')[2]
