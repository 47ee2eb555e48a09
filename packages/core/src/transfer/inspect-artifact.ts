import type { Artifact } from '../artifacts/artifact-store.ts'
import { toManyhandsError } from '../errors.ts'
import type { Network } from '../network/network.ts'
import { PROTOCOLS } from '../wire/protocols.ts'
import { GuardedStream } from './guarded-stream.ts'
import { receiveManifest } from './receive-manifest.ts'
import { openFrame } from './transfer-messages.ts'

/** Asks a peer what an artifact consists of, and no more. @throws as ArtifactStore.fetch */
export async function inspectArtifact(
  root: string,
  from: { network: Network; peer: string; stallMs: number; signal: AbortSignal },
): Promise<Artifact> {
  const { network, peer, stallMs, signal } = from
  const stream = await network.openStream(peer, PROTOCOLS.artifacts, { signal })
  const guarded = new GuardedStream(stream, stallMs)
  const onAbort = () => guarded.fail(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    signal.throwIfAborted()
    await guarded.send(openFrame({ v: 2, kind: 'artifact', root, addresses: [] }))
    const { artifact } = await receiveManifest(root, guarded, signal)
    return artifact
  } catch (error) {
    if (signal.aborted) throw signal.reason
    throw toManyhandsError(error)
  } finally {
    signal.removeEventListener('abort', onAbort)
    // Nobody waits for the content.
    stream.abort()
  }
}
