import ipaddr from 'ipaddr.js'

// What stands for node:net in a browser: addresses are told apart, sockets there are none.

export function isIPv4(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text)
}

export function isIPv6(text: string): boolean {
  return ipaddr.IPv6.isValid(text)
}

export function isIP(text: string): 0 | 4 | 6 {
  if (isIPv4(text)) return 4
  return isIPv6(text) ? 6 : 0
}

type Address = ipaddr.IPv4 | ipaddr.IPv6

/** Addresses by subnets. An IPv4 address that is written as IPv6 is that IPv4 address. */
export class BlockList {
  readonly #subnets: [Address, number][] = []

  addSubnet(network: string, prefix: number, _family?: 'ipv4' | 'ipv6'): void {
    this.#subnets.push([ipaddr.process(network), prefix])
  }

  check(text: string, _family?: 'ipv4' | 'ipv6'): boolean {
    const address = ipaddr.process(text)
    return this.#subnets.some(
      ([network, prefix]) => network.kind() === address.kind() && address.match(network, prefix),
    )
  }
}
