import { type Client, type ClientOptions, createClient } from '@manyhands/client'
import type { Runtime } from '@manyhands/core'
import { createHost, type Host, type HostOptions } from '@manyhands/host'
import { scripted } from './scripted-runtime.ts'
import {
  type SimulatedNetwork,
  type SimulatedNetworkOptions,
  simulateNetwork,
} from './simulated/simulate-network.ts'

/** How a host of a local network differs from the others. */
export type LocalHostOptions = Partial<Omit<HostOptions, 'network'>>

export interface LocalNetworkOptions {
  /** How many hosts, or what each is like. Default 1. */
  hosts?: number | LocalHostOptions[]
  /** Runtimes of hosts that name none; a factory, since each host needs its own. Default `scripted()`. */
  runtimes?: () => Runtime[]
  /** Of the client; the heartbeat is short by default (200 ms), so that lost hosts are noticed soon. */
  client?: Omit<ClientOptions, 'network'>
}

/** Real hosts and a real client in this process, over loopback TCP; nothing is simulated. */
export interface LocalNetwork extends AsyncDisposable {
  readonly client: Client
  readonly hosts: Host[]
  /** Another host of the same network. */
  addHost(options?: LocalHostOptions): Promise<Host>
  /** Another client of the same network. */
  addClient(options?: Omit<ClientOptions, 'network'>): Promise<Client>
  close(): Promise<void>
}

const LOOPBACK = ['/ip4/127.0.0.1/tcp/0']
const HEARTBEAT = '200ms'

/**
 * A local twin of a network: the same program, all in one process. With `simulate` the hosts and the network
 * are simulated, on a clock that jumps from one event to the next; client, scheduler and journal are the
 * real ones. Without, everything is real.
 *
 * @throws CONFIG_INVALID naming the option of `simulate` or of a simulated host
 *
 * @example
 * await using network = await createLocalNetwork({ hosts: 3 })
 * await network.client.run({ runtime: 'scripted', image: 'any', command: ['run'], tasks: '1-100' })
 *
 * @example
 * await using network = await createLocalNetwork({
 *   hosts: [{ speed: 2 }, { speed: 0.5, freezesAfter: '10m' }],
 *   simulate: { seed: 7, latency: '30ms', work: () => '5m' },
 * })
 */
export function createLocalNetwork(options: SimulatedNetworkOptions): Promise<SimulatedNetwork>
export function createLocalNetwork(options?: LocalNetworkOptions): Promise<LocalNetwork>
export function createLocalNetwork(
  options: LocalNetworkOptions | SimulatedNetworkOptions = {},
): Promise<LocalNetwork | SimulatedNetwork> {
  return 'simulate' in options ? simulateNetwork(options) : realNetwork(options)
}

async function realNetwork(options: LocalNetworkOptions): Promise<LocalNetwork> {
  await using opening = new AsyncDisposableStack()
  const wanted = options.hosts ?? 1
  const each = typeof wanted === 'number' ? Array.from({ length: wanted }, () => ({})) : wanted
  const hosts: Host[] = []
  const closers: AsyncDisposable[] = []

  const addHost = async (own: LocalHostOptions = {}): Promise<Host> => {
    const host = await createHost({
      share: { cpus: 4, memory: '8GiB', disk: '10GiB' },
      ...own,
      runtimes: own.runtimes ?? options.runtimes?.() ?? [scripted()],
      network: {
        listen: LOOPBACK,
        gossip: false,
        bootstrap: hosts.slice(0, 1).flatMap((first) => first.addresses),
      },
    })
    hosts.push(host)
    closers.push(host)
    return host
  }
  const addClient = async (own: Omit<ClientOptions, 'network'> = {}): Promise<Client> => {
    const client = await createClient({
      lease: { heartbeat: HEARTBEAT },
      ...options.client,
      ...own,
      network: { bootstrap: hosts.flatMap((host) => host.addresses), gossip: false },
    })
    closers.push(client)
    return client
  }
  // Clients go before hosts, the last one first: their jobs are canceled politely.
  opening.defer(async () => {
    for (const closer of closers.reverse()) await closer[Symbol.asyncDispose]()
  })
  for (const own of each) await addHost(own)
  const client = await addClient()
  await client.waitForHosts({ min: each.length })
  const resources = opening.move()
  const close = () => resources.disposeAsync()
  return { client, hosts, addHost, addClient, close, [Symbol.asyncDispose]: close }
}
