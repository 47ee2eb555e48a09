import { type Client, type ClientOptions, createClient } from '@manyhands/client'
import { type Duration, type NetworkOptions, parseDuration } from '@manyhands/core'
import { driven } from './driven.ts'
import { churn, plan } from './host-fate.ts'
import { type SeededRandom, seededRandom } from './seeded-random.ts'
import {
  checkSimulatedHost,
  checkSimulateOptions,
  linkConditions,
  type SimulatedHostOptions,
  type SimulateOptions,
} from './simulate-options.ts'
import type { SimulatedHost } from './simulated-host.ts'
import { SimulatedPeer } from './simulated-peer.ts'
import { SimulatedWire } from './simulated-wire.ts'
import { TwinHost } from './twin-host.ts'
import { createVirtualClock, type VirtualClock } from './virtual-clock.ts'

/** Of a client in a simulated network: what would bring it to another one is not said. */
export type SimulatedClientOptions = Omit<
  ClientOptions,
  'network' | 'transport' | 'clock' | 'random'
>

export interface SimulatedNetworkOptions {
  /** How many hosts, or what each is like. Default 1. */
  hosts?: number | SimulatedHostOptions[]
  /** What is simulated; `{}` is a network without faults. */
  simulate: SimulateOptions
  client?: SimulatedClientOptions
}

/**
 * The real client among simulated hosts, on a clock that jumps. Time passes while the program waits for the
 * client, for a job or for {@link pass}, and stands still otherwise.
 */
export interface SimulatedNetwork extends AsyncDisposable {
  readonly client: Client
  readonly hosts: SimulatedHost[]
  readonly clock: VirtualClock
  /** Another host, from now on or as its options say. */
  addHost(options?: SimulatedHostOptions): SimulatedHost
  addClient(options?: SimulatedClientOptions): Promise<Client>
  /** Does something when so much time has passed since the network began; at once when it has. */
  at(time: Duration, act: () => void): void
  /** Time passes for so long. */
  pass(duration: Duration): Promise<void>
  close(): Promise<void>
}

const DEFAULT_SEED = 1

export async function simulateNetwork(options: SimulatedNetworkOptions): Promise<SimulatedNetwork> {
  const { simulate } = options
  const wanted = options.hosts ?? 1
  const each: SimulatedHostOptions[] =
    typeof wanted === 'number' ? Array.from({ length: wanted }, () => ({})) : wanted
  checkSimulateOptions(simulate)
  for (const [index, own] of each.entries()) checkSimulatedHost(own, `hosts.${index}`)
  const random = seededRandom(simulate.seed ?? DEFAULT_SEED)
  const clock = createVirtualClock()
  const wire = new SimulatedWire({
    clock,
    random: random.of('wire'),
    duplicates: simulate.duplicates ?? 0,
  })
  const hosts: TwinHost[] = []
  const clients: Client[] = []

  const addHost = (own: SimulatedHostOptions = {}): SimulatedHost => {
    checkSimulatedHost(own)
    const index = hosts.length
    const hostRandom = random.of(`host ${index}`)
    const seed = seedOf(hostRandom)
    const host = new TwinHost({ wire, seed, options: own, simulate, random: hostRandom, index })
    plan(host, own, clock)
    if (simulate.churn !== undefined) churn(host, simulate.churn, clock, hostRandom.of('churn'))
    hosts.push(host)
    return host
  }
  const addClient = async (own: SimulatedClientOptions = {}): Promise<Client> => {
    const client = await createClient({
      images: [],
      ...options.client,
      ...own,
      clock,
      random: random.of(`client ${clients.length}`),
      transport: (asked) => clientPeer(wire, simulate, asked),
    })
    clients.push(client)
    return driven(client, clock, ['submit', 'job'])
  }
  const close = async () => {
    await Promise.all(clients.map((client) => clock.during(client.close())))
    await Promise.all(hosts.map((host) => host.close()))
    clock.close()
  }
  for (const own of each) addHost(own)
  try {
    const client = await addClient()
    const min = hosts.filter(({ state }) => state === 'up').length
    await client.waitForHosts({ min })
    return {
      client,
      hosts,
      clock,
      addHost,
      addClient,
      at: (time, act) => {
        clock.after(parseDuration(time, 'time') - clock.now(), act)
      },
      pass: (duration) => clock.pass(duration),
      close,
      [Symbol.asyncDispose]: close,
    }
  } catch (cause) {
    await close()
    throw cause
  }
}

/** A client knows whoever is there when it comes, as after its first word with any of them. */
async function clientPeer(
  wire: SimulatedWire,
  simulate: SimulateOptions,
  { privateKey }: NetworkOptions,
): Promise<SimulatedPeer> {
  const peer = new SimulatedPeer(wire, {
    seed: privateKey!,
    link: linkConditions({}, simulate),
    gossip: true,
    dialable: false,
  })
  for (const offer of wire.offers(peer.peerId)) {
    // One that cannot be reached now is heard of again.
    peer.connect(offer.addresses[0]!).catch(() => {})
  }
  return peer
}

function seedOf(random: SeededRandom): Uint8Array {
  return Uint8Array.from({ length: 32 }, () => Math.floor(random() * 256))
}
