import type { Client } from '@manyhands/client'
import { ManyhandsError, type Membership, type Offer, throwUnlessBorrower } from '@manyhands/core'
import type { CommandContext } from '../command-context.ts'
import { memberAddresses } from '../networks/among-members.ts'
import { chosenNetwork } from '../networks/network-home.ts'
import { localHostAddresses } from '../running-host.ts'
import type { JobRequest } from './job-request.ts'

/** Once a chosen host is seen, how long another one with the runtime may take to show up, ms. */
const RUNTIME_GRACE_MS = 3000

/** How a client of the command takes part. */
export interface PlacesToLook {
  bootstrap: string[]
  mdns: boolean
  membership?: Membership
}

/**
 * Where to look for hosts: in a private network where its members are, else what is named, else the host of
 * this computer.
 *
 * @throws NO_HOSTS when there is nowhere to look: waiting would change nothing; CONFIG_INVALID when it is not
 *   clear in which network
 */
export async function placesToLook(
  request: Pick<JobRequest, 'bootstrap' | 'mdns' | 'network'>,
  context: Pick<CommandContext, 'env' | 'cwd' | 'interruption'>,
): Promise<PlacesToLook> {
  const { bootstrap, mdns } = request
  const membership = await chosenNetwork(request.network, context.env)
  if (membership !== undefined) return await amongItsMembers(membership, request, context)
  if (bootstrap.length > 0 || mdns) return { bootstrap, mdns }
  const local = await localHostAddresses(context, context.interruption.signal)
  if (local.length > 0) return { bootstrap: local, mdns }
  throw new ManyhandsError('NO_HOSTS', 'no host is named, and none runs on this computer', {
    hint: 'Name one with --bootstrap, look on the local network with --mdns, or start `manyhands host`.',
  })
}

/** Members are also looked for where they were met before; who knows no such place looks on the LAN. */
async function amongItsMembers(
  membership: Membership,
  { bootstrap, mdns }: Pick<JobRequest, 'bootstrap' | 'mdns'>,
  context: Pick<CommandContext, 'env' | 'cwd' | 'interruption'>,
): Promise<PlacesToLook> {
  throwUnlessBorrower({ membership })
  if (bootstrap.length > 0) return { bootstrap, mdns, membership }
  const { local, met } = await memberAddresses(membership, context)
  return { bootstrap: local, mdns: mdns || local.length + met.length === 0, membership }
}

/**
 * Resolves when a host is seen that could run the job, as far as runtime and selection go.
 *
 * @throws NO_HOSTS; RUNTIME_UNAVAILABLE when there are hosts, but none with the runtime
 */
export async function waitForRuntime(
  client: Client,
  request: JobRequest,
  signal: AbortSignal,
): Promise<void> {
  const { spec, waitMs } = request
  const runtime = spec.runtime ?? 'docker'
  // A host that is going away takes nothing any more.
  const chosen = (offer: Offer) =>
    !offer.draining &&
    (spec.hosts?.only?.includes(offer.peerId) ?? true) &&
    spec.hosts?.deny?.includes(offer.peerId) !== true
  const offers = (offer: Offer) => offer.runtimes.some(({ name }) => name === runtime)
  const start = performance.now()
  const seen = await client.waitForHosts({ where: chosen, timeout: waitMs, signal })
  if (seen.some(offers)) return
  const left = Math.max(0, waitMs - (performance.now() - start))
  try {
    await client.waitForHosts({
      where: (offer) => chosen(offer) && offers(offer),
      timeout: Math.min(left, RUNTIME_GRACE_MS),
      signal,
    })
  } catch (error) {
    if ((error as Partial<ManyhandsError>).code !== 'NO_HOSTS') throw error
    const others = new Set(seen.flatMap((offer) => offer.runtimes.map(({ name }) => name)))
    throw new ManyhandsError(
      'RUNTIME_UNAVAILABLE',
      `no host offers the runtime '${runtime}'; ${seen.length} seen, with ${[...others].join(', ') || 'none'}`,
      { hint: 'Name another --runtime, or start the engine on a host.', cause: error },
    )
  }
}
