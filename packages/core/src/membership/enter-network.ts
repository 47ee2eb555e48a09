import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { connectBootstrap } from '../network/bootstrap.ts'
import type { Network } from '../network/network.ts'
import type { MembershipSession } from './membership-session.ts'

const FIRST_RETRY_MS = 1000
const SLOWEST_RETRY_MS = 60_000
/** Addresses tried at once: one member is enough to hear of the others. */
const DIALS = 8

/**
 * Joins a private network, or comes back to it. Who has an invite only is a member when this resolves. A
 * member that finds nobody goes on looking, at the addresses where it has met others, unless it was told
 * where to look.
 *
 * @param bootstrap - where to look; at least one of them must answer
 * @returns what ends it
 * @throws CONNECT_FAILED; INVITE_INVALID, NOT_A_MEMBER: why it was not let in
 */
export async function enterNetwork(
  network: Network,
  session: MembershipSession,
  bootstrap: readonly string[],
): Promise<() => void> {
  const { membership } = session
  membership.throwIfEnded()
  const joining = membership.state === 'joining'
  const known = membership.addresses.filter((address) => !bootstrap.includes(address))
  const places = joining ? [...bootstrap, ...known] : bootstrap
  const stops: (() => void)[] = []
  if (places.length > 0) stops.push(await connectTo(network, places))
  if (membership.state === 'joining') await untilJoined(session, places)
  if (!joining && known.length > 0) stops.push(lookFor(network, known))
  return () => {
    for (const stop of stops) stop()
  }
}

async function connectTo(network: Network, places: readonly string[]): Promise<() => void> {
  try {
    return await connectBootstrap(network, places)
  } catch (thrown) {
    const { cause } = thrown as ManyhandsError
    const errors: unknown[] = cause instanceof AggregateError ? cause.errors : []
    // Who says why it does not let us in has the last word on it.
    throw errors.find(isRefusal) ?? thrown
  }
}

const isRefusal = (error: unknown): boolean =>
  error instanceof ManyhandsError &&
  (error.code === 'INVITE_INVALID' || error.code === 'NOT_A_MEMBER')

/** Waits for a member that is found on the local network, or that finds us. */
async function untilJoined(
  { membership, lastRefusal }: MembershipSession,
  places: readonly string[],
): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const look = (): void => {
    if (membership.state !== 'joining') resolve()
  }
  membership.addEventListener('change', look)
  const timer = setTimeout(resolve, LIMITS.dialTimeoutMs)
  try {
    look()
    await promise
  } finally {
    clearTimeout(timer)
    membership.removeEventListener('change', look)
  }
  membership.throwIfEnded()
  if (membership.state === 'member') return
  throw (
    lastRefusal() ??
    new ManyhandsError(
      'CONNECT_FAILED',
      places.length > 0
        ? `no member of network ${membership.name} has admitted this computer`
        : `no member of network ${membership.name} was found on the local network`,
      { hint: 'Name an address of a member; on a local network its host has to run with mDNS.' },
    )
  )
}

/** Tries addresses until somebody is there, and again whenever nobody is. */
function lookFor(network: Network, addresses: readonly string[]): () => void {
  const stop = new AbortController()
  let timer: NodeJS.Timeout | undefined
  let waitMs = FIRST_RETRY_MS
  const look = async (): Promise<void> => {
    if (network.peers().length === 0) {
      await Promise.allSettled(
        addresses.slice(0, DIALS).map((address) => network.connect(address, stop)),
      )
    }
    if (stop.signal.aborted) return
    waitMs = network.peers().length > 0 ? FIRST_RETRY_MS : Math.min(2 * waitMs, SLOWEST_RETRY_MS)
    timer = setTimeout(() => void look(), waitMs * (0.5 + Math.random())).unref()
  }
  void look()
  return () => {
    stop.abort()
    clearTimeout(timer)
  }
}
