import { lookup } from 'node:dns/promises'
import { BlockList, isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { ConnectionGater } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { LIMITS } from '../limits.ts'
import { REACH, reachOf } from './host-reach.ts'

/** Where clouds tell their machines secrets. */
const METADATA = new Set(['169.254.169.254', 'fd00:ec2::254'])
/** Ranges of private networks; who is in one may be reached from the same one, also over routers. */
const SITES = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7'].map(
  subnetOf,
)

/** An address of one of our interfaces, and the subnet that it is in. */
export interface OwnAddress {
  address: string
  /** `192.168.1.5/24` */
  cidr: string
}

export interface DialRulesOptions {
  /** IP addresses of the peers that we are connected to, or of one; undefined where a relay stands between. */
  hosts(peer?: string): (string | undefined)[]
  /** Default: those of the machine. */
  own?: () => OwnAddress[]
  resolve?: (name: string) => Promise<string[]>
}

/**
 * Which addresses are dialed. Those that somebody here has named always are. Of those that peers tell,
 * private ones are dialed only when we are in that network ourselves or whoever tells is: else an offer
 * could have us knock at the doors of our own computer, of our router or of the cloud below us.
 */
export class DialRules {
  readonly #options: DialRulesOptions
  readonly #named = new Set<string>()
  /** Whether an address beyond this computer was named here. */
  #reachesOut = false

  constructor(options: DialRulesOptions) {
    this.#options = options
  }

  /** Somebody here has named it, or it was found good: it is dialed from now on. */
  name(address: Multiaddr, { told = false } = {}): void {
    const key = keyOf(address)
    this.#named.delete(key)
    this.#named.add(key)
    if (!told && !this.#local(hostOf(address)?.value)) this.#reachesOut = true
    if (this.#named.size > LIMITS.namedAddresses) {
      this.#named.delete(this.#named.values().next().value!)
    }
  }

  /** Whether an address that was told may be dialed. @param by - who told it, when that is known */
  async allows(address: Multiaddr, by?: string): Promise<boolean> {
    if (this.#named.has(keyOf(address))) return true
    const host = hostOf(address)
    if (host === undefined) return true
    if (isIP(host.value) !== 0) return this.#allowsHost(host.value, by)
    const { resolve = resolved } = this.#options
    const found = await resolve(host.value).catch(() => [])
    return found.every((one) => this.#allowsHost(one, by))
  }

  gater(): ConnectionGater {
    return { denyDialMultiaddr: async (address) => !(await this.allows(address)) }
  }

  #allowsHost(host: string, by: string | undefined): boolean {
    if (METADATA.has(host)) return false
    const reach = reachOf(host)
    if (reach === REACH.world) return true
    if (reach === REACH.nowhere) return false
    const own = this.#own()
    if (reach === REACH.computer) return this.#onThisComputer(by)
    const tellers = this.#options.hosts(by)
    // A port of this very computer is nobody's business from afar.
    if (own.some(({ address }) => address === host)) {
      return this.#onThisComputer(by) || tellers.some((one) => this.#near(one))
    }
    if (own.some(({ cidr }) => within(subnetOf(cidr), host))) return true
    const site = SITES.find((one) => within(one, host))
    // A tunnel has no subnet of its own.
    const alone = own.filter(({ cidr }) => /\/(32|128)$/.test(cidr))
    if (site !== undefined && alone.some(({ address }) => within(site, address))) return true
    return site !== undefined && tellers.some((one) => one !== undefined && within(site, one))
  }

  /** Whether who tells is on this computer; when nobody knows who, whether all are. */
  #onThisComputer(by: string | undefined): boolean {
    const hosts = this.#options.hosts(by)
    const all = hosts.every((host) => this.#local(host))
    return by === undefined ? all && !this.#reachesOut : hosts.length > 0 && all
  }

  #local(host: string | undefined): boolean {
    if (host === undefined) return false
    return reachOf(host) === REACH.computer || this.#own().some(({ address }) => address === host)
  }

  #near(host: string | undefined): boolean {
    if (host === undefined) return false
    const reach = reachOf(host)
    return reach === REACH.link || reach === REACH.site || this.#local(host)
  }

  #own(): OwnAddress[] {
    if (this.#options.own !== undefined) return this.#options.own()
    return Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .flatMap(({ address, cidr }) => (cidr === null ? [] : { address, cidr }))
  }
}

const HOSTS = new Set(['ip4', 'ip6', 'dns', 'dns4', 'dns6'])

function hostOf(address: Multiaddr): { value: string } | undefined {
  const found = address.getComponents().find(({ name }) => HOSTS.has(name))
  return found?.value === undefined ? undefined : { value: found.value.split('%')[0]! }
}

function keyOf(address: Multiaddr): string {
  return address.toString().replace(/\/p2p\/[^/]+$/, '')
}

async function resolved(name: string): Promise<string[]> {
  return (await lookup(name, { all: true })).map(({ address }) => address)
}

function subnetOf(cidr: string): BlockList {
  const [address = '', prefix = ''] = cidr.split('/')
  const list = new BlockList()
  list.addSubnet(address, Number(prefix), isIP(address) === 6 ? 'ipv6' : 'ipv4')
  return list
}

function within(subnet: BlockList, host: string): boolean {
  return subnet.check(host, isIP(host) === 6 ? 'ipv6' : 'ipv4')
}
