/**
 * A peer in a process of its own: network options as JSON in argv; then one JSON line per request on stdin,
 * `{ id, do, … }`, and one per answer on stdout, `{ id, result }` or `{ id, error: { code, message } }`.
 * The first line is `{ ready: { peerId, addresses } }`. Ends when stdin does.
 */
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import {
  createArtifactStore,
  createNetwork,
  type NetworkOptions,
  type TransferSource,
  toManyhandsError,
} from '@manyhands/core'
import { webrtc } from '../../../webrtc/src/index.ts'

/** Network options as they go by JSON; `stun`: with WebRTC, and these servers. */
export type PeerOptions = Omit<NetworkOptions, 'transports'> & { stun?: string[] }

const { stun, ...options } = JSON.parse(process.argv[2] ?? '{}') as PeerOptions
const transports = stun === undefined ? [] : [webrtc({ stun })]
const dir = await mkdtemp(join(tmpdir(), 'manyhands-peer-'))
const network = await createNetwork({ gossip: false, ...options, transports })
network.handle('attempt.acknowledge', async () => ({}))
const store = await createArtifactStore({ dir: join(dir, 'store') })
await store.serve(network, () => true)

/** What a peer can be asked for. */
export interface PeerRequests {
  connect: [{ address: string | string[] }, string]
  /** A whole question and answer. */
  call: [{ peer: string }, number]
  disconnect: [{ peer: string }, void]
  addresses: [object, string[]]
  portMapping: [object, ReturnType<typeof network.portMapping> | null]
  connections: [object, ReturnType<typeof network.connections>]
  /** Makes an artifact of random bytes. */
  make: [{ mebibytes: number }, { root: string; sha256: string }]
  fetch: [
    { root: string; peer: string },
    { sha256: string; ms: number; path: TransferSource['path'] | undefined; rssBytes: number },
  ]
}

const answers: {
  [Name in keyof PeerRequests]: (wish: PeerRequests[Name][0]) => Promise<PeerRequests[Name][1]>
} = {
  connect: ({ address }) => network.connect(address),
  async call({ peer }) {
    const startedAt = performance.now()
    await network.call(peer, 'attempt.acknowledge', { ids: [] })
    return performance.now() - startedAt
  },
  disconnect: ({ peer }) => network.disconnect(peer),
  addresses: async () => network.addresses,
  portMapping: async () => network.portMapping() ?? null,
  connections: async () => network.connections(),
  async make({ mebibytes }) {
    const bytes = randomBytes(mebibytes * 1024 * 1024)
    const path = join(dir, randomBytes(8).toString('hex'))
    await writeFile(path, bytes)
    const { root } = await store.addPath(path)
    return { root, sha256: createHash('sha256').update(bytes).digest('hex') }
  },
  async fetch({ root, peer }) {
    const startedAt = performance.now()
    let path: TransferSource['path'] | undefined
    let rssBytes = process.memoryUsage.rss()
    const watch = setInterval(() => {
      rssBytes = Math.max(rssBytes, process.memoryUsage.rss())
    }, 50)
    try {
      const onSource = (source: TransferSource): void => {
        path = source.path
      }
      await store.fetch(root, { network, peer }, { onSource })
    } finally {
      clearInterval(watch)
    }
    const ms = performance.now() - startedAt
    const target = join(dir, randomBytes(8).toString('hex'))
    await store.place(root, target, 'copy')
    const sha256 = createHash('sha256')
    const { createReadStream } = await import('node:fs')
    for await (const chunk of createReadStream(target)) sha256.update(chunk)
    return { sha256: sha256.digest('hex'), ms, path, rssBytes }
  },
}

const tell = (line: object): void => {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

async function answer(line: string): Promise<void> {
  const { id, do: name, ...wish } = JSON.parse(line) as { id: number; do: keyof PeerRequests }
  try {
    tell({ id, result: await answers[name](wish as never) })
  } catch (error) {
    tell({ id, error: toManyhandsError(error).toJSON() })
  }
}

tell({ ready: { peerId: network.peerId, addresses: network.addresses } })
for await (const line of createInterface({ input: process.stdin })) void answer(line)
await store.close()
await network.close()
await rm(dir, { recursive: true, force: true })
