import { createNetwork, type Network, type NetworkOptions } from '@manyhands/core'
import { onTestFinished } from 'vitest'
import { webrtc } from '../src/index.ts'

/** A network of this test. */
export async function peer(options: NetworkOptions): Promise<Network> {
  const network = await createNetwork({ gossip: false, ...options })
  network.handle('attempt.acknowledge', async () => ({}))
  onTestFinished(() => network.close())
  return network
}

export const relay = (): Promise<Network> =>
  peer({ listen: ['/ip4/127.0.0.1/tcp/0'], relay: { bulk: true } })

/** One that is reached over relays alone, and has WebRTC. */
export const hidden = (relays: string[], options: NetworkOptions = {}): Promise<Network> =>
  peer({ bootstrap: relays, relays, transports: [webrtc()], ...options })

export const circuitOf = (network: Network): string | undefined =>
  network.addresses.find((address) => address.includes('/p2p-circuit'))

export const kindsOf = (from: Network, to: Network): string[] =>
  from
    .connections()
    .filter(({ peer }) => peer === to.peerId)
    .map(({ kind }) => kind)
