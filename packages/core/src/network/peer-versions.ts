import type { Connection } from '@libp2p/interface'
import { ManyhandsError } from '../errors.ts'
import { PROTOCOL_VERSIONS, versionsIn } from '../wire/protocols.ts'
import type { Libp2pNode } from './libp2p-node.ts'
import { peerIdOf } from './peer-id.ts'

/** How long a peer may take to say what it speaks, ms. */
const IDENTIFY_MS = 2_000

/** Names of the protocols that a connected peer speaks, as far as it says. */
export async function protocolsOf(node: Libp2pNode, peer: string): Promise<string[]> {
  const id = peerIdOf(peer)
  const told = async (): Promise<string[]> => {
    const known = await node.peerStore.get(id).catch(() => undefined)
    return known?.protocols ?? []
  }
  const connection: Connection | undefined = node.getConnections(id)[0]
  const identify = node.services['identify'] as
    | { identify(connection: Connection, options: { signal: AbortSignal }): Promise<unknown> }
    | undefined
  if (connection !== undefined && versionsIn(await told()).length === 0) {
    // It may still be about to say so by itself.
    await identify
      ?.identify(connection, { signal: AbortSignal.timeout(IDENTIFY_MS) })
      .catch(() => {})
  }
  return told()
}

/** Why two peers have no version in common, and who has to update; undefined when that is not it. */
export function versionsDiffer(peer: string, protocols: string[]): ManyhandsError | undefined {
  const theirs = versionsIn(protocols)
  const ours = Array.from(
    { length: PROTOCOL_VERSIONS.newest - PROTOCOL_VERSIONS.oldest + 1 },
    (_, index) => PROTOCOL_VERSIONS.oldest + index,
  )
  if (theirs.length === 0 || theirs.some((version) => ours.includes(version))) return undefined
  const newer = theirs[0]! > PROTOCOL_VERSIONS.newest
  return new ManyhandsError(
    'PROTOCOL',
    `peer ${peer} speaks version ${told(theirs)} of the protocol, this computer ${told(ours)}`,
    {
      hint: newer
        ? 'Update manyhands on this computer: the other one is newer.'
        : 'Update manyhands on the other computer: it is older than this one.',
      details: { ours, theirs },
    },
  )
}

function told(versions: number[]): string {
  return versions.join(' and ')
}
