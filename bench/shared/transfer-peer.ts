/**
 * A peer of the transfer benchmarks in a process of its own: a network and a store that serves all it
 * has. Does what its parent asks over IPC, one thing after another or at once; ends with its parent.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { createArtifactStore, createNetwork } from '@manyhands/core'
import { answerCalls } from './answer-calls.ts'
import type { TransferCalls, TransferPeerOptions } from './transfer-peers.ts'

const { dir, listen } = JSON.parse(process.argv[2]!) as TransferPeerOptions
const network = await createNetwork({ listen: listen ?? ['/ip4/127.0.0.1/tcp/0'], gossip: false })
const store = await createArtifactStore({ dir })
let sentBytes = 0
await store.serve(
  network,
  () => true,
  (_root, bytes) => {
    sentBytes += bytes
  },
)
network.handle('offer.list', async () => ({ offers: [] }))

const since = (began: number): number => performance.now() - began

type Answers = {
  [Name in keyof TransferCalls]: (
    params: TransferCalls[Name]['params'],
  ) => Promise<TransferCalls[Name]['result']>
}

const answers: Answers = {
  async add({ path }) {
    const began = performance.now()
    const { root, size } = await store.addPath(path)
    return { root, size, ms: since(began) }
  },

  async fetch({ address, root, target, into }) {
    await using own = into === undefined ? undefined : await createArtifactStore({ dir: into })
    const to = own ?? store
    to.retain(root, 'bench')
    const began = performance.now()
    const peer = await network.connect(address)
    let bytes = 0
    await to.fetch(
      root,
      { network, peer },
      {
        onProgress: (received) => {
          bytes = received
        },
      },
    )
    const ms = since(began)
    if (target !== undefined) await to.place(root, target, 'link')
    return { ms, placedMs: since(began), bytes }
  },

  async release({ root }) {
    await store.release(root, 'bench')
  },

  async sent() {
    return { bytes: sentBytes }
  },

  async calls({ peer, count, everyMs }) {
    const ms: number[] = []
    const lateMs: number[] = []
    const open: Promise<unknown>[] = []
    const began = performance.now()
    for (let index = 0; index < count; index += 1) {
      const early = index * everyMs - since(began)
      if (early > 0) await delay(early)
      lateMs.push(since(began) - index * everyMs)
      const asked = performance.now()
      const answered = network.call(peer, 'offer.list', {}).then(() => ms.push(since(asked)))
      open.push(answered)
    }
    await Promise.all(open)
    return { ms, lateMs }
  },
}

answerCalls(answers, { address: network.addresses[0], peerId: network.peerId })
