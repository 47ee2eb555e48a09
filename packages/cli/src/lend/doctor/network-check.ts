import { BlockList, isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import { createControlClient, readControlFile } from '@manyhands/control/client'
import { controlFilePath } from '../../state-home.ts'
import { type Check, type Examiner, ok, warn } from './check.ts'

type Reach = 'loopback' | 'local' | 'public'

/** How clients can come: what a running host listens on, else what this computer has. */
export const networkCheck: Examiner = async ({ stateDirectory }) => {
  const listening = await runningAddresses(stateDirectory)
  if (listening !== undefined) {
    const addresses = listening.flatMap((text) => /^\/ip[46]\/([^/]+)\//.exec(text)?.[1] ?? [])
    return [describeNetwork('this host listens on', addresses)]
  }
  const addresses = Object.values(networkInterfaces()).flatMap((each) =>
    (each ?? []).map(({ address }) => address),
  )
  return [describeNetwork('no host runs here now; this computer has', addresses)]
}

/** @param intro - what is told of the addresses */
export function describeNetwork(intro: string, addresses: string[]): Check {
  const name = 'network'
  const by = Map.groupBy(new Set(addresses), reachOf)
  const local = by.get('local') ?? []
  const open = by.get('public') ?? []
  if (local.length + open.length === 0) {
    return warn(
      name,
      `${intro} loopback addresses alone`,
      'Connect to a network, and listen there; now only clients on this computer can come.',
    )
  }
  const parts = [
    ...(open.length === 0 ? [] : [`public ${open.join(', ')}`]),
    ...(local.length === 0 ? [] : [`local ${local.join(', ')}`]),
  ]
  const detail = `${intro} ${parts.join('; ')}`
  if (open.length > 0) {
    return ok(name, `${detail}; whether a firewall lets clients in is unknown`)
  }
  return ok(
    name,
    `${detail}; clients of the local network can come. Whether others can is unknown: behind NAT they need a forwarded port (--listen /ip4/0.0.0.0/tcp/4001)`,
  )
}

async function runningAddresses(stateDirectory: string): Promise<string[] | undefined> {
  try {
    const document = await readControlFile(controlFilePath(stateDirectory))
    if (document === undefined) return undefined
    const signal = AbortSignal.timeout(2000)
    return (await createControlClient(document).offer({ signal })).addresses
  } catch {
    // A crashed host leaves its file: then none runs.
    return undefined
  }
}

const LOOPBACK = new BlockList()
LOOPBACK.addSubnet('127.0.0.0', 8)
LOOPBACK.addAddress('::1', 'ipv6')
/** Private, link-local, shared by a carrier's NAT, documentation: not reachable from everywhere. */
const LOCAL = new BlockList()
for (const [net, bits] of [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['169.254.0.0', 16],
  ['100.64.0.0', 10],
  ['192.0.2.0', 24],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
] as const) {
  LOCAL.addSubnet(net, bits)
}
LOCAL.addSubnet('fc00::', 7, 'ipv6')
LOCAL.addSubnet('fe80::', 10, 'ipv6')
LOCAL.addSubnet('2001:db8::', 32, 'ipv6')

function reachOf(address: string): Reach {
  const plain = address.replace(/%.*$/, '')
  const family = isIP(plain) === 6 ? 'ipv6' : 'ipv4'
  if (LOOPBACK.check(plain, family)) return 'loopback'
  return LOCAL.check(plain, family) ? 'local' : 'public'
}
