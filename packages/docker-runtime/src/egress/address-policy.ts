import { networkInterfaces } from 'node:os'
import { ManyhandsError } from '@manyhands/core'
import ipaddr from 'ipaddr.js'

type Network = [ipaddr.IPv4 | ipaddr.IPv6, number]

/** Public addresses at which clouds answer their own machines. */
const METADATA = new Set(['168.63.129.16'])

/**
 * Which addresses a task may be connected to: public ones alone. Everything that means this computer,
 * its network or its cloud is refused, whatever name it came from, unless the owner allows it.
 */
export class AddressPolicy {
  readonly #allowed: Network[]

  /** @throws CONFIG_INVALID for a network that is none */
  constructor(allowNetworks: string[] = []) {
    this.#allowed = allowNetworks.map(parseNetwork)
  }

  permits(text: string): boolean {
    if (!ipaddr.isValid(text)) return false
    // An IPv4 address in the clothes of IPv6 is judged as what it is.
    const address = ipaddr.process(text)
    if (this.#allowed.some(([network, bits]) => contains(network, bits, address))) return true
    if (address.range() !== 'unicast' || METADATA.has(address.toString())) return false
    return !ownAddresses().has(address.toNormalizedString())
  }
}

function contains(
  network: ipaddr.IPv4 | ipaddr.IPv6,
  bits: number,
  address: ipaddr.IPv4 | ipaddr.IPv6,
): boolean {
  return network.kind() === address.kind() && address.match(network as never, bits)
}

function parseNetwork(text: string): Network {
  if (typeof text === 'string' && ipaddr.isValidCIDR(text)) return ipaddr.parseCIDR(text)
  const shown = JSON.stringify(String(text).slice(0, 80))
  throw new ManyhandsError('CONFIG_INVALID', `egress.allowNetworks: ${shown} is no network`, {
    hint: 'Write networks as 10.0.0.0/8 or fd00::/8.',
  })
}

/** This computer may have public addresses, behind which it trusts itself. */
function ownAddresses(): Set<string> {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return new Set(
    all
      .map(({ address }) => address.replace(/%.*/, ''))
      .filter((address) => ipaddr.isValid(address))
      .map((address) => ipaddr.process(address).toNormalizedString()),
  )
}
