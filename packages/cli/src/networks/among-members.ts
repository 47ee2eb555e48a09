import { setTimeout as delay } from 'node:timers/promises'
import { createNetwork, type Membership, type Network } from '@manyhands/core'
import type { CommandContext } from '../command-context.ts'
import { localHostAddresses } from '../running-host.ts'

/** How long a short command looks for members, ms: they are where they were, or they are not. */
const MEET_MS = 5_000
const LOOK_MS = 50

type Context = Pick<CommandContext, 'env' | 'cwd' | 'interruption'>

/** Where members of a network may be reached from this computer, the host that runs here first. */
export async function memberAddresses(
  membership: Membership,
  context: Context,
): Promise<{ local: string[]; met: readonly string[] }> {
  const { signal } = context.interruption
  const local = await localHostAddresses(context, signal, membership.network)
  return { local, met: membership.addresses }
}

/**
 * Does something among the members that can be reached, after what they know was learned.
 *
 * @param work - gets the network, and the peers that have answered; none when nobody is there
 */
export async function amongMembers<Result>(
  membership: Membership,
  context: Context,
  work: (network: Network, peers: string[]) => Promise<Result>,
): Promise<Result> {
  const { local, met } = await memberAddresses(membership, context)
  await using network = await createNetwork({
    membership,
    gossip: false,
    mdns: local.length + met.length === 0,
  })
  await Promise.allSettled(local.slice(0, 4).map((address) => network.connect(address)))
  const deadline = performance.now() + MEET_MS
  while (network.peers().length === 0 && performance.now() < deadline) {
    await delay(LOOK_MS, undefined, { signal: context.interruption.signal })
  }
  return await work(network, (await network.compareMembers?.()) ?? [])
}
