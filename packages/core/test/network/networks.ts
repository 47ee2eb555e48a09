import { createIdentity, createNetwork, type Network, type NetworkOptions } from '@manyhands/core'
import { createNode, type Libp2pNode } from '../../src/network/libp2p-node.ts'
import { PeerGate } from '../../src/network/peer-gate.ts'

const LOOPBACK = '/ip4/127.0.0.1/tcp/0'

/** Networks and bare nodes of one test, closed together. */
export class Networks implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack()

  async add(options: NetworkOptions = {}): Promise<Network> {
    return this.#stack.use(await createNetwork({ gossip: false, ...options }))
  }

  /** One that listens. */
  host(options: NetworkOptions = {}): Promise<Network> {
    return this.add({ listen: [LOOPBACK], ...options })
  }

  /** A peer that speaks libp2p and nothing of ours, to misbehave with. */
  async bare({ gossip = false } = {}): Promise<Libp2pNode> {
    const { seed } = createIdentity()
    const node = await createNode({
      seed,
      listen: [],
      mdns: false,
      gossip,
      gate: new PeerGate(),
    })
    await node.start()
    this.#stack.defer(() => node.stop())
    return node
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync()
  }
}

export function addressOf(network: Network): string {
  const [address] = network.addresses
  if (address === undefined) throw new Error('the network does not listen')
  return address
}
