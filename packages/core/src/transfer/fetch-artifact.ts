import type { Artifact } from '../artifacts/artifact-store.ts'
import { TRANSFER } from '../artifacts/transfer-limits.ts'
import { inTurns } from '../artifacts/turns.ts'
import { type ManyhandsError, toManyhandsError } from '../errors.ts'
import type { FrameStream } from '../network/network.ts'
import { PROTOCOLS } from '../wire/protocols.ts'
import type { FetchContext } from './fetch-context.ts'
import { GuardedStream } from './guarded-stream.ts'
import { receiveManifest } from './receive-manifest.ts'
import { ReceivingRoom } from './receiving-room.ts'
import { checkRelay } from './relay-limit.ts'
import { type Found, openFrame } from './transfer-messages.ts'
import { claimMissing, distinctFiles, type WantedFiles } from './wanted-files.ts'

/**
 * Receives an artifact. All files have their final names, durably, before the manifest gets its own;
 * so a cut at any moment leaves either the whole artifact or none, and the chunks that were verified
 * save the next transfer from asking for them.
 *
 * What is small comes over the stream that brought the manifest. For more, lanes are opened, and
 * whoever fetches the same at the same time is asked as well.
 */
export async function fetchArtifact(root: string, context: FetchContext): Promise<Artifact> {
  const { network, peer, signal } = context
  const stream = await network.openStream(peer, PROTOCOLS.artifacts, { signal })
  const guarded = new GuardedStream(stream, context.stallMs)
  const onAbort = () => guarded.fail(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    signal.throwIfAborted()
    // A network that has no addresses is a test's.
    const addresses = context.shares ? (network.addresses ?? []).slice(0, TRANSFER.addresses) : []
    await guarded.send(openFrame({ v: 2, kind: 'artifact', root, addresses }))
    const { found, encoded, artifact } = await receiveManifest(root, guarded, signal, (bytes) =>
      checkRelay(stream, bytes),
    )
    const { manifest } = artifact
    checkRelay(stream, artifact.size)
    if (artifact.size > TRANSFER.bulkBytes) context.sockets.expect()
    context.onManifest(artifact.size)
    const files = await inTurns(distinctFiles(manifest), signal)
    const ids = new Set(files.keys())
    context.contents.acquire(ids)
    let kept = false
    try {
      await context.contents.settled()
      await receiveContent(files, artifact, found, stream, guarded, context)
      await context.durable.flush()
      const saved = await context.manifests.save(root, encoded, manifest)
      kept = saved.isNew
      return saved.artifact
    } finally {
      // Until it is known to be here, others have it of the transfer.
      context.running.delete(root)
      if (!kept) context.contents.forget(ids)
    }
  } catch (error) {
    guarded.fail(error)
    if (signal.aborted) throw signal.reason
    throw toManyhandsError(error)
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/**
 * Brings every file here: takes those that nobody else is receiving, then waits for the others and
 * looks again, as their transfer may have failed.
 */
async function receiveContent(
  open: WantedFiles,
  artifact: Artifact,
  found: Found,
  stream: FrameStream,
  guarded: GuardedStream,
  context: FetchContext,
): Promise<void> {
  const { claims, signal } = context
  const room = new ReceivingRoom(artifact, found, stream, guarded, context)
  let failure: ManyhandsError | undefined
  try {
    while (open.size > 0) {
      const mine = await claimMissing(open, context)
      try {
        await room.receive(mine)
        for (const id of mine.keys()) open.delete(id)
      } finally {
        for (const id of mine.keys()) claims.release(id)
      }
      const [other] = open.keys()
      if (other !== undefined) await untilAborted(claims.released(other), signal)
    }
  } catch (error) {
    failure = toManyhandsError(error)
    throw error
  } finally {
    await room.close(failure)
  }
}

function untilAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
