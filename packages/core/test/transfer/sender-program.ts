import { join } from 'node:path'
import { createArtifactStore, createNetwork } from '@manyhands/core'

/** A peer in a process of its own, to be killed: `sender-program.ts STATE TREE` gives a tree to everybody. */
const [state, tree] = process.argv.slice(2)
const network = await createNetwork({ listen: ['/ip4/127.0.0.1/tcp/0'], gossip: false })
const store = await createArtifactStore({ dir: join(state!, 'store') })
await store.serve(network, () => true)
const { root } = await store.addPath(tree!)
process.stdout.write(`${JSON.stringify({ address: network.addresses[0], root })}\n`)
