import { isIP } from 'node:net'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { peerOfAddress } from '../address.ts'
import type { DialRules } from '../dial-rules.ts'
import { REACH, type Reach, reachOf } from '../host-reach.ts'
import { isRelayed } from './connection-rank.ts'

/** The IP address at the head of an address. */
export function hostOf(address: Multiaddr): string | undefined {
  const value = address.getComponents()[0]?.value
  return value !== undefined && isIP(value) !== 0 ? value : undefined
}

/** From how far an address can be reached; `nowhere` for names, whose meaning nobody knows. */
export const addressReach = (address: Multiaddr): Reach => reachOf(hostOf(address) ?? '')

/**
 * How near who told an address is: the other end of the connection over which it came; of a relayed one
 * the relay, whose peers are at most as near as it is.
 */
export function tellerReach(remoteAddr: Multiaddr | undefined): Reach {
  const reach = remoteAddr === undefined ? REACH.nowhere : addressReach(remoteAddr)
  return reach === REACH.nowhere ? REACH.world : reach
}

/**
 * Those of the addresses that a peer tells of itself, or another one of it, which may be dialed: plain
 * ones with an IP address, of that peer, and none that is nearer to us than who told it. So nobody from
 * outside sends us to the doors of our own network.
 */
export function dialable(
  texts: readonly string[],
  peer: string,
  teller: Multiaddr | undefined,
): Multiaddr[] {
  const near = tellerReach(teller)
  return texts.flatMap((text) => {
    const address = parsed(text)
    if (address === undefined || isRelayed(address) || peerOfAddress(address) !== peer) return []
    const names = address.getComponents().map(({ name }) => name)
    if (names.length > PLAIN.length || names.some((name, at) => !PLAIN[at]!.includes(name))) {
      return []
    }
    const reach = addressReach(address)
    return reach !== REACH.nowhere && reach >= near ? [address] : []
  })
}

/** Those of them that the rules of this computer let be dialed, and dials of which pass from now on. */
export async function allowed(
  addresses: readonly Multiaddr[],
  rules: DialRules,
  teller: string,
): Promise<Multiaddr[]> {
  const found: Multiaddr[] = []
  for (const address of addresses) {
    if (!(await rules.allows(address, teller))) continue
    rules.name(address, { told: true })
    found.push(address)
  }
  return found
}

/** `/ip4/…/tcp/…/p2p/…`, and with `/ws` after the port. */
const PLAIN = [['ip4', 'ip6'], ['tcp'], ['ws', 'p2p'], ['p2p']]

function parsed(text: string): Multiaddr | undefined {
  try {
    return multiaddr(text)
  } catch {
    return undefined
  }
}
