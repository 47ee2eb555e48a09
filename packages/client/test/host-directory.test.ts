import { createNetwork, type Network, type Offer, systemClock } from '@manyhands/core'
import { expect, test } from 'vitest'
import { HostDirectory, type HostDirectoryOptions } from '../src/host-directory.ts'

const listen = ['/ip4/127.0.0.1/tcp/0']
const share = { cpus: 4, memoryBytes: 8e9, diskBytes: 1e11, gpus: 0, pids: 1024 }

function offerOf(network: Network, addresses = network.addresses): Offer {
  const { cpus, memoryBytes: memory, diskBytes: disk, gpus } = share
  return {
    v: 1,
    peerId: network.peerId,
    instance: 'one',
    revision: 1,
    addresses,
    ...{ cpus, memory, disk, gpus, share, free: share },
    runtimes: [{ name: 'wasm', image: 'artifact', isolation: 'wasm' }],
    platform: { os: 'linux', arch: 'x64', cpu: 'test' },
    labels: {},
    attempts: 0,
    draining: false,
  }
}

/** Hosts that say who they are, a member that knows them, and the directory of a client that knows it. */
class Bed implements AsyncDisposable {
  readonly stack = new AsyncDisposableStack()
  readonly hosts: Network[] = []
  member!: Network
  network!: Network
  directory!: HostDirectory

  static async of(hosts: number, options: Partial<HostDirectoryOptions> = {}): Promise<Bed> {
    const bed = new Bed()
    bed.member = bed.stack.use(await createNetwork({ listen, gossip: false }))
    for (let count = 0; count < hosts; count += 1) await bed.addHost()
    bed.network = bed.stack.use(
      await createNetwork({ bootstrap: bed.member.addresses, gossip: false }),
    )
    bed.directory = new HostDirectory({
      network: bed.network,
      asks: true,
      heartbeatMs: 5_000,
      logger: { debug: () => {}, warn: () => {} },
      clock: systemClock,
      random: Math.random,
      known: () => undefined,
      events: {
        event: () => {},
        inventory: () => {},
        nonceOf: () => '',
        ownerOf: () => '',
      },
      ...options,
    })
    const ticking = setInterval(() => bed.directory.keep(), 50)
    bed.stack.defer(() => clearInterval(ticking))
    bed.stack.defer(() => bed.directory.close())
    return bed
  }

  async addHost(addresses?: string[]): Promise<Network> {
    const host = this.stack.use(await createNetwork({ listen, gossip: false }))
    host.handle('hello', async ({ heartbeatMs }) => ({ offer: offerOf(host), heartbeatMs }))
    host.handle('offer.get', async () => ({ offer: offerOf(host) }))
    await host.publishOffer(offerOf(host, addresses))
    await this.member.connect(host.addresses[0]!)
    await this.member.askOffers(host.peerId)
    await this.member.disconnect(host.peerId)
    this.hosts.push(host)
    return host
  }

  get connected(): string[] {
    return this.hosts.map(({ peerId }) => peerId).filter((peer) => this.network.isConnected(peer))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stack.disposeAsync()
  }
}

const until = (what: string, check: () => boolean) =>
  expect.poll(check, { timeout: 10_000, message: what }).toBe(true)

test('all hosts are known by one member; some are connected beforehand, others as work wants them', async () => {
  await using bed = await Bed.of(6, { kept: 2 })
  const { directory, hosts } = bed
  await until('all are known', () => directory.offers().length === 6)
  await until('some are connected', () => bed.connected.length === 2)
  const others = directory.records().filter(({ connected }) => !connected)
  expect(others).toHaveLength(4)

  const met: string[] = []
  directory.addEventListener('met', (event) => met.push((event as CustomEvent<string>).detail))
  directory.want(others.slice(0, 2))
  await until('they are met', () => others.slice(0, 2).every(({ peerId }) => met.includes(peerId)))
  expect(bed.connected).toHaveLength(4)
  expect(directory.offers()).toHaveLength(hosts.length)
})

test('what nobody needs is let go, and stays known', async () => {
  await using bed = await Bed.of(4, { kept: 1, idleMs: 0 })
  const { directory } = bed
  await until('all are known', () => directory.offers().length === 4)
  const gone: string[] = []
  directory.addEventListener('change', (event) => {
    const { kind } = (event as CustomEvent<{ kind: string }>).detail
    if (kind === 'gone') gone.push(kind)
  })
  directory.want(directory.records())
  await until('all were met', () => directory.records().every(({ met }) => met))
  await until('one is kept', () => bed.connected.length === 1)
  expect(directory.offers()).toHaveLength(4)
  expect(gone).toEqual([])
})

test('the first dial shows that a host is not where it says, and why says so', async () => {
  await using bed = await Bed.of(1, { kept: 1 })
  const { directory } = bed
  await until('the first is there', () => directory.offers().length === 1)
  const nowhere = await bed.addHost(['/ip4/127.0.0.1/tcp/1'])
  await until('it is known', () => directory.offers().length === 2)
  const record = directory.record(nowhere.peerId)!
  expect(record.connected).toBe(false)
  directory.want([record])
  await until('it is absent', () => !record.present)
  expect(record.absence).toContain('cannot be reached')
  expect(record.retryAt).toBeGreaterThan(systemClock.now())
  expect(directory.offers()).toHaveLength(1)
  // There is no room for hosts to begin with, and yet nobody else would try it.
  await until('it is tried again', () => record.dialsFailed >= 2)
})

test('a host that says goodbye is gone at once, though nobody was connected to it', async () => {
  await using bed = await Bed.of(3, { kept: 1 })
  const { directory, member } = bed
  await until('all are known', () => directory.offers().length === 3)
  const [leaving] = bed.hosts.filter(({ peerId }) => !bed.connected.includes(peerId))
  await member.connect(leaving!.addresses[0]!)
  await leaving!.withdrawOffer()
  await member.askOffers(leaving!.peerId)
  await until('it is gone', () => directory.record(leaving!.peerId) === undefined)
  expect(directory.offers()).toHaveLength(2)
})

test('a host that is known and ends without a word is looked for, and found again', async () => {
  await using bed = await Bed.of(1)
  const { directory, network, hosts } = bed
  const { peerId } = hosts[0]!
  await until('it is met', () => directory.record(peerId)?.connected === true)
  const kinds: string[] = []
  directory.addEventListener('change', (event) =>
    kinds.push((event as CustomEvent<{ kind: string }>).detail.kind),
  )
  await network.disconnect(peerId)
  await until('it is back', () => kinds.includes('found'))
  expect(kinds[0]).toBe('gone')
  await until('it is met again', () => directory.record(peerId)?.connected === true)
  expect(directory.offers()).toHaveLength(1)
})
