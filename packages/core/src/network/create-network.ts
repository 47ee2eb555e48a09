import { randomBytes } from 'node:crypto'
import { parseDuration } from '../duration.ts'
import { ManyhandsError } from '../errors.ts'
import type { Membership } from '../membership/membership.ts'
import type { MembershipSession } from '../membership/membership-session.ts'
import { parseAddresses } from './address.ts'
import { connectBootstrap } from './bootstrap.ts'
import { DialRules } from './dial-rules.ts'
import { createIdentity } from './identity.ts'
import type { Libp2pNetwork } from './libp2p-network.ts'
import { Manners } from './manners/manners.ts'
import type { Network } from './network.ts'
import type { NetworkOptions } from './network-options.ts'
import { plainCause } from './peer-error.ts'
import { PeerGate } from './peer-gate.ts'
import { relayQuotas } from './reach/relay-options.ts'

/**
 * Joins the network: listens, connects to the bootstrap peers, takes part in the gossip of offers.
 *
 * @throws ADDRESS_INVALID before anything is started; CONFIG_INVALID when it cannot listen, or for `relay`;
 *   CONNECT_FAILED, naming every address and why, when no bootstrap peer answers; INVITE_INVALID,
 *   NOT_A_MEMBER, saying why, when a private network does not let it in
 */
export async function createNetwork(options: NetworkOptions = {}): Promise<Network> {
  const { listen = [], bootstrap = [], relays = [], privateKey: seed = randomBytes(32) } = options
  if (seed.length !== 32) {
    throw new ManyhandsError(
      'CONFIG_INVALID',
      `a private key is a seed of 32 bytes, not ${seed.length}`,
    )
  }
  const relay = relayQuotas(options.relay)
  await parseAddresses([...listen, ...bootstrap, ...relays])
  const session = await sessionOf(options.membership, seed)
  const gate = new PeerGate(session && ((peer) => session.admits(peer)))
  const manners = new Manners({
    logger: options.logger,
    onBan: (ban) => network?.dispatchEvent(new CustomEvent('ban', { detail: ban })),
  })
  const rules = new DialRules({ hosts: (peer) => network?.remoteHosts(peer) ?? [] })
  let network: Libp2pNetwork | undefined
  const [{ createNode }, { Libp2pNetwork: ANetwork }] = await Promise.all([
    import('./libp2p-node.ts'),
    import('./libp2p-network.ts'),
  ])
  const node = await createNode({
    seed,
    listen,
    mdns: options.mdns ?? isAnywhere(session, bootstrap),
    gossip: options.gossip ?? true,
    gate,
    manners,
    rules,
    ...(session === undefined ? {} : { session }),
    transports: options.transports,
    upnpRenewMs: renewMs(options.upnp),
    tls: options.tls,
    relay,
    logger: options.logger,
  })
  const { logger } = options
  network = new ANetwork(node, { seed, gate, manners, rules, listen, relays, session, logger })
  try {
    await network.start()
    if (session !== undefined) {
      const { enterNetwork } = await import('../membership/enter-network.ts')
      network.onClose(await enterNetwork(network, session, bootstrap))
    } else if (bootstrap.length > 0) {
      network.onClose(await connectBootstrap(network, bootstrap))
    }
  } catch (error) {
    await network.close()
    if (error instanceof ManyhandsError) throw error
    throw new ManyhandsError(
      'CONFIG_INVALID',
      `cannot listen on ${listen.join(', ')}: ${plainCause(error)}`,
      { cause: error },
    )
  }
  return network
}

async function sessionOf(
  membership: Membership | undefined,
  seed: Uint8Array,
): Promise<MembershipSession | undefined> {
  if (membership === undefined) return undefined
  const [{ MembershipSession }, { LocalMembership }] = await Promise.all([
    import('../membership/membership-session.ts'),
    import('../membership/local-membership.ts'),
  ])
  if (membership instanceof LocalMembership) {
    return new MembershipSession(membership, createIdentity(seed).peerId)
  }
  throw new ManyhandsError('CONFIG_INVALID', 'membership: not what joinPrivateNetwork gives')
}

/** An invite without an address is for the local network. */
function isAnywhere(session: MembershipSession | undefined, bootstrap: readonly string[]): boolean {
  if (session === undefined) return false
  const { state, addresses } = session.membership
  return state === 'joining' && bootstrap.length + addresses.length === 0
}

/** How often the router is asked, when nothing else is said: a router that restarts has forgotten us. */
const RENEW = '5m'
const SHORTEST_RENEW_MS = 1000

function renewMs(upnp: NetworkOptions['upnp']): number | undefined {
  if (upnp === undefined || upnp === false) return undefined
  const { renew = RENEW } = upnp === true ? {} : upnp
  return Math.max(SHORTEST_RENEW_MS, parseDuration(renew, 'upnp.renew'))
}
