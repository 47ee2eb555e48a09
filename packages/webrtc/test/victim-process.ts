/** A peer with WebRTC at relays that are given in argv, in a process of its own: hostile input may crash native code. */
import { createNetwork } from '@manyhands/core'
import { webrtc } from '../src/index.ts'

const relays = process.argv.slice(2)
const network = await createNetwork({
  ...{ gossip: false, bootstrap: relays, relays },
  transports: [webrtc()],
})
const address = () => network.addresses.find((each) => each.includes('/p2p-circuit'))
while (address() === undefined) await new Promise((resolve) => setTimeout(resolve, 20))
process.stdout.write(`${JSON.stringify({ address: address(), peerId: network.peerId })}\n`)
process.stdin.resume().on('end', () => network.close())
