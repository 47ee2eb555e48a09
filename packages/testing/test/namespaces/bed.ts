/**
 * Real networks on one computer, of network namespaces: an internet (a router that connects everybody who
 * has an address of his own) and homes (a router with masquerade, and a LAN behind it).
 *
 *     await using bed = await createBed({
 *       public: { relay: {}, server: { firewall: true } },
 *       homes: {
 *         a: { members: ['anna', 'amir'], nat: 'port-restricted', rate: '50mbit' },
 *         b: { members: ['berta'], nat: 'symmetric' },
 *       },
 *     })
 *     const child = bed.place('anna').namespace.node(new URL('./peer-process.ts', import.meta.url))
 *     const cut = await bed.cut('anna', 'relay', { kind: 'reset' })
 *     await cut.heal()
 *
 * What a test needs beside that it builds of `Namespace`, `cable`, `shape` and `Cut`. Everything is removed
 * when the bed is disposed of, when the process ends, or, at the latest, when the next bed is made.
 * Root, iproute2 and nftables are needed: `noNamespaces()` says what is missing. Tests go in files of their
 * own here, and skip with that reason; in CI it is a failure.
 */
import { Cut, type CutKind, type Way } from './cut.ts'
import { LAN, type Nat, routeHome, WAN } from './home-router.ts'
import { cable, Namespace, shape } from './namespace.ts'

export interface PublicOptions {
  /** Nothing new comes in. */
  firewall?: boolean
  /** What its line takes in each direction, `'20mbit'`; default: what the computer can. */
  rate?: string
}

export interface HomeOptions {
  members: string[]
  /** Default `port-restricted`. */
  nat?: Nat
  /** Of the LAN, `/24`: its first three numbers. Default `192.168.1` in every home, as in life. */
  subnet?: string
  /** What its line to the internet takes in each direction; default: what the computer can. */
  rate?: string
}

export interface BedOptions {
  /** Computers with an address of their own. */
  public?: Record<string, PublicOptions>
  homes?: Record<string, HomeOptions>
}

/** Where a peer can be. */
export interface Place {
  readonly name: string
  readonly namespace: Namespace
  /** Its own address: public, or that in its LAN. */
  readonly address: string
  /** The address that others on the internet see. */
  readonly publicAddress: string
  readonly home?: Home
}

/** A LAN behind a router. */
export interface Home {
  readonly name: string
  readonly router: Namespace
  readonly publicAddress: string
}

export interface Bed extends AsyncDisposable {
  readonly internet: Namespace
  place(name: string): Place
  home(name: string): Home
  /**
   * Interrupts the way between two places, or between each of some and each of others. Between homes all
   * members of the second one are cut off from those of the first, since their addresses are not seen.
   *
   * @param options.ways - `'one'`: only what the first sends to the second. Default both
   */
  cut(
    one: string | string[],
    other: string | string[],
    options?: { kind?: CutKind; ways?: 'one' | 'both' },
  ): Promise<Cut>
  /** Changes what the line of a public place or of a home takes. */
  rate(name: string, rate: string | undefined): Promise<void>
}

interface Line {
  near: [Namespace, string]
  far: [Namespace, string]
}

export async function createBed(options: BedOptions): Promise<Bed> {
  await using making = new AsyncDisposableStack()
  const create = async (label: string) => making.use(await Namespace.create(label))
  const internet = await create('internet')
  await internet.run('sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward')
  const places = new Map<string, Place>()
  const homes = new Map<string, Home>()
  const lines = new Map<string, Line>()
  const taken = (name: string): boolean => places.has(name) || homes.has(name)

  /** A line of its own to the internet, with a public address. No namespace leads out of this computer. */
  async function line(name: string, at: Namespace, device: string): Promise<string> {
    const number = lines.size + 1
    const far = `line${number}`
    const net = `45.${number}.0`
    lines.set(name, { near: [at, device], far: [internet, far] })
    await cable([at, device], [internet, far])
    await internet.ip(`addr add ${net}.1/24 dev ${far}`)
    await at.ip(`addr add ${net}.2/24 dev ${device}`, `route add default via ${net}.1`)
    return `${net}.2`
  }
  async function rate(name: string, value: string | undefined): Promise<void> {
    const ends = lines.get(name)
    if (ends === undefined) throw new Error(`${name} has no line to the internet`)
    await Promise.all([shape(...ends.near, value), shape(...ends.far, value)])
  }

  for (const [name, { firewall = false, rate: limit }] of Object.entries(options.public ?? {})) {
    if (taken(name)) throw new Error(`two are called ${name}`)
    const namespace = await create(name)
    const address = await line(name, namespace, 'eth0')
    places.set(name, { name, namespace, address, publicAddress: address })
    if (firewall) await namespace.nft(FIREWALL)
    if (limit !== undefined) await rate(name, limit)
  }
  for (const [name, home] of Object.entries(options.homes ?? {})) {
    const { members, nat = 'port-restricted', subnet = '192.168.1' } = home
    const router = await create(`home-${name}`)
    const publicAddress = await line(`home ${name}`, router, WAN)
    await router.ip(
      `link add ${LAN} type bridge`,
      `addr add ${subnet}.1/24 dev ${LAN}`,
      `link set ${LAN} up`,
    )
    await routeHome(router, nat)
    if (home.rate !== undefined) await rate(`home ${name}`, home.rate)
    const here: Home = { name, router, publicAddress }
    if (taken(name)) throw new Error(`two are called ${name}`)
    homes.set(name, here)
    for (const [index, member] of members.entries()) {
      if (taken(member)) throw new Error(`two are called ${member}`)
      const namespace = await create(member)
      const port = `port${index + 1}`
      await cable([namespace, 'eth0'], [router, port])
      await router.ip(`link set ${port} master ${LAN}`)
      const address = `${subnet}.${index + 10}`
      await namespace.ip(`addr add ${address}/24 dev eth0`, `route add default via ${subnet}.1`)
      places.set(member, { name: member, namespace, address, publicAddress, home: here })
    }
  }

  const all = making.move()
  const known = <Value>(map: Map<string, Value>, name: string): Value => {
    const value = map.get(name)
    if (value === undefined) throw new Error(`there is no ${name} in this bed`)
    return value
  }
  const place = (name: string): Place => known(places, name)
  return {
    internet,
    place,
    home: (name) => known(homes, name),
    async cut(one, other, { kind = 'drop', ways = 'both' } = {}) {
      const through: Way[] = []
      for (const from of [one].flat().map(place)) {
        for (const to of [other].flat().map(place)) {
          through.push(wayOf(internet, from, to))
          if (ways === 'both') through.push(wayOf(internet, to, from))
        }
      }
      const cut = new Cut(through, kind)
      await cut.cut()
      return cut
    },
    rate: (name, value) => rate(homes.has(name) ? `home ${name}` : name, value),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  }
}

/** Where packets from one place to another can be told from all others. */
function wayOf(internet: Namespace, from: Place, to: Place): Way {
  if (from.home !== undefined && from.home === to.home) {
    // The router's bridge does not look at addresses.
    return { at: to.namespace, hook: 'input', source: from.address, destination: to.address }
  }
  const at = from.home?.router ?? to.home?.router ?? internet
  const seenFrom = (near: Place): string =>
    near.home?.router === at ? near.address : near.publicAddress
  return { at, hook: 'forward', source: seenFrom(from), destination: seenFrom(to) }
}

const FIREWALL = `
table inet firewall {
  chain input {
    type filter hook input priority filter; policy drop;
    ct state established,related accept
    iifname "lo" accept
    meta l4proto icmp accept
  }
}
`
