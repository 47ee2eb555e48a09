import { LIMITS, type Network, type NetworkOptions } from '@manyhands/core'
import { eventually } from '../eventually.ts'
import { addressOf, type Networks } from '../networks.ts'

/** A peer that listens nowhere and is reached over relays. */
export async function hidden(
  networks: Networks,
  relays: Network[],
  options: NetworkOptions = {},
): Promise<Network> {
  const peer = await networks.add({ relays: relays.map(addressOf), ...options })
  const wanted = Math.min(relays.length, LIMITS.relaysPerPeer)
  await eventually('it has its relays', () => peer.addresses.length >= wanted)
  return peer
}

/** A whole question and answer. */
export const ask = (from: Network, to: Network) =>
  from.call(to.peerId, 'attempt.acknowledge', { ids: [] })

export const answers = (network: Network): void =>
  network.handle('attempt.acknowledge', async () => ({}))
