import { randomBytes } from 'node:crypto'
import { ManyhandsError } from '../errors.ts'
import { parseAddresses } from './address.ts'
import { connectBootstrap } from './bootstrap.ts'
import type { Libp2pNetwork } from './libp2p-network.ts'
import { Manners } from './manners/manners.ts'
import type { Network } from './network.ts'
import type { NetworkOptions } from './network-options.ts'
import { plainCause } from './peer-error.ts'
import { PeerGate } from './peer-gate.ts'

/**
 * Joins the network: listens, connects to the bootstrap peers, takes part in the gossip of offers.
 *
 * @throws ADDRESS_INVALID before anything is started; CONFIG_INVALID when it cannot listen;
 *   CONNECT_FAILED, naming every address and why, when no bootstrap peer answers
 */
export async function createNetwork(options: NetworkOptions = {}): Promise<Network> {
  const { listen = [], bootstrap = [], privateKey: seed = randomBytes(32) } = options
  if (seed.length !== 32) {
    throw new ManyhandsError(
      'CONFIG_INVALID',
      `a private key is a seed of 32 bytes, not ${seed.length}`,
    )
  }
  await parseAddresses([...listen, ...bootstrap])
  const gate = new PeerGate()
  const manners = new Manners({
    logger: options.logger,
    onBan: (ban) => network?.dispatchEvent(new CustomEvent('ban', { detail: ban })),
  })
  let network: Libp2pNetwork | undefined
  const [{ createNode }, { Libp2pNetwork: ANetwork }] = await Promise.all([
    import('./libp2p-node.ts'),
    import('./libp2p-network.ts'),
  ])
  const node = await createNode({
    seed,
    listen,
    mdns: options.mdns ?? false,
    gossip: options.gossip ?? true,
    gate,
    manners,
  })
  network = new ANetwork(node, { seed, gate, manners, listen, logger: options.logger })
  try {
    await network.start()
    if (bootstrap.length > 0) network.onClose(await connectBootstrap(network, bootstrap))
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
