import { isIPv4, isIPv6 } from 'node:net'
import type { VerifySpec } from '@manyhands/core'

/** What is known of where a host comes from. */
export interface HostOrigin {
  peer: string
  /**
   * IP addresses, or multiaddrs that begin with one. They have to be those at which this client is
   * connected to it: a host may say anything of itself.
   */
  addresses: readonly string[]
  /** Who invited it into the network. */
  inviter?: string
}

/** How far apart two hosts have to be: see `VerifySpec.apart`. */
export type Apart = NonNullable<VerifySpec['apart']>

/**
 * Whether two hosts may vouch for each other: they are two, and by default they share no inviter (neither
 * invited the other), no /24 and no /48. Of whom no address is known, nobody knows whose neighbour it is: it
 * is independent of nobody.
 */
export function independent(a: HostOrigin, b: HostOrigin, apart: Apart = 'networks'): boolean {
  if (a.peer === b.peer) return false
  if (apart === 'hosts') return true
  if (a.inviter === b.peer || b.inviter === a.peer) return false
  if (a.inviter !== undefined && a.inviter === b.inviter) return false
  const [left, right] = [neighbourhoodsOf(a), neighbourhoodsOf(b)]
  if (left.size === 0 || right.size === 0) return false
  return left.isDisjointFrom(right)
}

/** What was found of origins, which are looked at again and again. */
const known = new WeakMap<HostOrigin, ReadonlySet<string>>()

function neighbourhoodsOf(origin: HostOrigin): ReadonlySet<string> {
  let found = known.get(origin)
  if (found === undefined) {
    found = new Set(origin.addresses.flatMap(neighbourhoodOf))
    known.set(origin, found)
  }
  return found
}

/** The first 24 bits of an IPv4 address, the first 48 of an IPv6 one. */
function neighbourhoodOf(address: string): string[] {
  const named = /^\/ip[46]\/([^/]+)/.exec(address)?.[1] ?? address
  // The same computer, seen through a socket of the other kind.
  const ip = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(named)?.[1] ?? named
  if (isIPv4(ip)) return [ip.split('.').slice(0, 3).join('.')]
  if (!isIPv6(ip)) return []
  // As a URL has it: nothing but groups, and at most one run of zeros that is left out.
  const { hostname } = new URL(`http://[${ip.split('%')[0]}]`)
  const [head = [], tail = []] = hostname
    .slice(1, -1)
    .split('::')
    .map((part) => (part === '' ? [] : part.split(':')))
  const zeros = Array<string>(8 - head.length - tail.length).fill('0')
  return [[...head, ...zeros, ...tail].slice(0, 3).join(':')]
}
