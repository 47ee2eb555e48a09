import { BlockList, isIP } from 'node:net'

/** From where a host can be reached. */
export const REACH = { nowhere: -1, computer: 0, link: 1, site: 2, world: 3 } as const

export type Reach = (typeof REACH)[keyof typeof REACH]

/** Special addresses (IANA), the IPv4 ones written as IPv6 too. Those of nobody come first. */
const RANGES: [Reach, ...[string, number][]][] = [
  [REACH.nowhere, ['224.0.0.0', 3], ['0.0.0.0', 8], ['ff00::', 8], ['::', 128]],
  [REACH.computer, ['127.0.0.0', 8], ['::1', 128]],
  [REACH.link, ['169.254.0.0', 16], ['fe80::', 10]],
  [
    REACH.site,
    ['10.0.0.0', 8],
    ['172.16.0.0', 12],
    ['192.168.0.0', 16],
    ['100.64.0.0', 10],
    ['fc00::', 7],
  ],
]

const lists = RANGES.map(([reach, ...ranges]) => {
  const list = new BlockList()
  for (const [address, prefix] of ranges) list.addSubnet(address, prefix, familyOf(address))
  return { reach, list }
})

/** How far an IP address reaches; `nowhere` for anything else, and for what nobody has. */
export function reachOf(host: string): Reach {
  if (isIP(host) === 0) return REACH.nowhere
  const family = familyOf(host)
  return lists.find(({ list }) => list.check(host, family))?.reach ?? REACH.world
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4'
}
