import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import {
  type Artifact,
  type ArtifactStore,
  type ArtifactStoreOptions,
  createArtifactStore,
  createNetwork,
  type Logger,
  type Network,
  type NetworkOptions,
} from '@manyhands/core'
import { onTestFinished } from 'vitest'
import { bytesOf, scratch } from '../artifacts/scratch.ts'

/** A peer of a test: a network and a store of its own. */
export interface TestPeer {
  network: Network
  store: ArtifactStore
  dir: string
  /** Bytes of content that it has given, by receiver. */
  given: Map<string, number>
  warnings: string[]
  /** The same, with what was said besides. */
  warned: { message: string; context: unknown }[]
}

export interface TestPeerOptions extends Partial<ArtifactStoreOptions> {
  network?: NetworkOptions
  allow?: (peer: string, root: string) => boolean
}

export async function testPeer(options: TestPeerOptions = {}): Promise<TestPeer> {
  const { network: networkOptions, allow = () => false, ...storeOptions } = options
  const dir = storeOptions.dir ?? (await scratch())
  const network = await createNetwork({
    listen: ['/ip4/127.0.0.1/tcp/0'],
    gossip: false,
    ...networkOptions,
  })
  const warnings: string[] = []
  const warned: TestPeer['warned'] = []
  const logger: Logger = {
    debug: () => {},
    warn: (message, context) => {
      warnings.push(message)
      warned.push({ message, context })
    },
  }
  const store = await createArtifactStore({ logger, ...storeOptions, dir })
  const given = new Map<string, number>()
  await store.serve(network, allow, (_root, bytes, peer) => {
    given.set(peer, (given.get(peer) ?? 0) + bytes)
  })
  onTestFinished(async () => {
    await store.close()
    await network.close()
  })
  return { network, store, dir, given, warnings, warned }
}

/** A peer that has an artifact of random bytes and gives it to everybody. */
export async function owner(bytes: number, options: TestPeerOptions = {}) {
  const peer = await testPeer({ allow: () => true, ...options })
  const content = bytesOf(bytes)
  const path = join(await scratch(), 'content')
  await writeFile(path, content)
  const artifact: Artifact = await peer.store.addPath(path)
  return { ...peer, content, path, artifact, root: artifact.root }
}

/** Connects to a peer; what fetches need to know of it. */
export async function connectTo(from: TestPeer, to: TestPeer) {
  const peer = await from.network.connect(to.network.addresses[0]!)
  return { network: from.network, peer }
}

export function sum(given: Map<string, number>): number {
  return [...given.values()].reduce((total, bytes) => total + bytes, 0)
}

/** Names of temporary and partial files of a store. */
export function leftovers(peer: TestPeer): Promise<string[]> {
  return readdir(join(peer.dir, 'part'))
}

/** What a sender had under way when the other side gave up is counted a moment later. */
export async function settled(count: () => number): Promise<number> {
  for (;;) {
    const before = count()
    await setTimeout(200)
    if (count() === before) return before
  }
}
