import { ManyhandsError, toManyhandsError } from '../errors.ts'
import type { FrameStream } from '../network/network.ts'
import type { Artifact, Manifest, ManifestFile } from './artifact-store.ts'
import { type Batch, batchBytes, ChunkIntake } from './chunk-intake.ts'
import { chunkCount, chunkOffset } from './chunk-layout.ts'
import { concurrently } from './concurrently.ts'
import type { FileClaims } from './file-claims.ts'
import { GuardedStream } from './guarded-stream.ts'
import { decodeManifest, fileId, manifestSize, rootOf } from './manifest.ts'
import type { ManifestFiles } from './manifest-files.ts'
import { type ReceivingContext, type ReceivingFile, receiveFile } from './receiving-file.ts'
import { TRANSFER } from './transfer-limits.ts'
import { body, FRAME, openFrame, readFound, wantFrame } from './transfer-messages.ts'

const LOOKED_FOR_AT_ONCE = 32

export interface FetchContext extends ReceivingContext {
  manifests: ManifestFiles
  claims: FileClaims
  signal: AbortSignal
  stallMs?: number
  /** Resolves when more content may be received; see TransferGovernor. */
  take?: (bytes: number) => Promise<void> | undefined
  /** Opens another stream to the same peer, the fastest there is. */
  openBulk?: () => Promise<FrameStream>
  /** Called before any content is asked for; what it throws ends the fetch. */
  onManifest: (size: number) => void
  /** Bytes verified and written since the last call. */
  onWritten: (bytes: number) => void
}

/**
 * Receives an artifact over an open stream. All files have their final names, durably, before the
 * manifest gets its own; so a cut at any moment leaves either the whole artifact or none, and the
 * chunks that were verified save the next transfer from asking for them.
 */
export async function fetchArtifact(
  root: string,
  stream: FrameStream,
  context: FetchContext,
): Promise<Artifact> {
  const stallMs = context.stallMs ?? TRANSFER.stallMs
  let guarded = new GuardedStream(stream, stallMs)
  const onAbort = () => guarded.fail(context.signal.reason)
  context.signal.addEventListener('abort', onAbort, { once: true })
  try {
    context.signal.throwIfAborted()
    await guarded.send(openFrame(root))
    const encoded = await receiveManifest(guarded)
    if (rootOf(encoded) !== root) {
      throw new ManyhandsError('ARTIFACT_CORRUPT', `the peer sent another manifest than ${root}`)
    }
    const manifest = decodeManifest(encoded)
    const size = manifestSize(manifest)
    context.onManifest(size)
    if (size > TRANSFER.bulkBytes && context.openBulk !== undefined) {
      await guarded.close()
      const bulk = new GuardedStream(await context.openBulk(), stallMs)
      const first = guarded
      guarded = bulk
      context.signal.throwIfAborted()
      await first.finish()
      await guarded.send(openFrame(root, true))
    }
    const ids = new Set(manifest.files.map(fileId))
    context.contents.acquire(ids)
    let kept = false
    try {
      await context.contents.settled()
      await receiveContent(manifest, guarded, context)
      await guarded.close()
      await context.durable.flush()
      const { artifact, isNew } = await context.manifests.save(root, encoded, manifest)
      kept = isNew
      await guarded.finish()
      return artifact
    } finally {
      if (!kept) context.contents.forget(ids)
    }
  } catch (error) {
    guarded.fail(error)
    const { reason } = guarded.failure!
    if (context.signal.aborted) throw context.signal.reason
    throw toManyhandsError(reason)
  } finally {
    context.signal.removeEventListener('abort', onAbort)
  }
}

async function receiveManifest(guarded: GuardedStream): Promise<Uint8Array> {
  const length = readFound(await guarded.expect())
  const pieces: Uint8Array[] = []
  let received = 0
  while (received < length) {
    const piece = body(await guarded.expect(), FRAME.manifest)
    received += piece.length
    if (piece.length === 0 || received > length) {
      throw new ManyhandsError('PROTOCOL', 'the peer sent another manifest than it announced')
    }
    pieces.push(piece)
  }
  return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces, length)
}

/**
 * Brings every file here: takes those that nobody else is receiving, then waits for the others and
 * looks again, as their transfer may have failed.
 */
async function receiveContent(
  manifest: Manifest,
  guarded: GuardedStream,
  context: FetchContext,
): Promise<void> {
  const { contents, claims, signal } = context
  const open = new Map<string, { index: number; file: ManifestFile }>()
  for (const [index, file] of manifest.files.entries()) {
    if (!open.has(fileId(file))) open.set(fileId(file), { index, file })
  }
  while (open.size > 0) {
    const mine = new Map<string, { index: number; file: ManifestFile }>()
    try {
      await concurrently(open, LOOKED_FOR_AT_ONCE, async ([id, wanted]) => {
        signal.throwIfAborted()
        // Claimed before the look, so that nobody begins it in between.
        if (!claims.claim(id)) return
        mine.set(id, wanted)
        if (!(await contents.has(id))) return
        mine.delete(id)
        claims.release(id)
        open.delete(id)
      })
      await receiveFiles([...mine.values()], guarded, context)
      for (const id of mine.keys()) open.delete(id)
    } finally {
      for (const id of mine.keys()) claims.release(id)
    }
    const [other] = open.keys()
    if (other !== undefined) await untilAborted(claims.released(other), signal)
  }
}

async function receiveFiles(
  wanted: { index: number; file: ManifestFile }[],
  guarded: GuardedStream,
  context: FetchContext,
): Promise<void> {
  const targets = new Set<ReceivingFile>()
  const intake = new ChunkIntake({
    onWritten: ({ target, file }, bytes) => {
      if (chunkCount(file) <= 1) targets.delete(target)
      context.onWritten(bytes)
    },
    onFailure: (error) => guarded.fail(error),
  })
  const batches = planBatches(wanted, targets, context)
  let asked = 0
  let planned = false
  try {
    for (;;) {
      // Asked for again when half of the window is used up: few wants, and the sender never idles.
      const low = asked < TRANSFER.windowBytes / 2 && intake.outstanding < TRANSFER.windowRanges / 2
      if (!planned && low) {
        const lot: Batch[] = []
        while (
          asked < TRANSFER.windowBytes &&
          intake.outstanding < TRANSFER.windowRanges &&
          lot.length < TRANSFER.rangesPerWant
        ) {
          const { value: batch } = await batches.next()
          planned = batch === undefined
          if (batch === undefined) break
          lot.push(batch)
          intake.expect(batch)
          asked += batchBytes(batch)
        }
        if (lot.length > 0) {
          await guarded.send(wantFrame(lot.map(({ index, first, count }) => [index, first, count])))
        }
      }
      if (asked === 0) break
      const frame = await guarded.expect()
      const bytes = body(frame, FRAME.data)
      await context.take?.(bytes.length)
      await intake.take(bytes)
      guarded.recycle(frame)
      asked -= bytes.length
    }
    await intake.settled()
    if (guarded.failure !== undefined) throw guarded.failure.reason
  } catch (error) {
    guarded.fail(error)
    throw error
  } finally {
    await intake.settled()
    await batches.return(undefined)
    for (const target of targets) await target.close()
  }
}

/** Cuts what is missing of each file into batches; looks at a file's partial state when it is due. */
async function* planBatches(
  wanted: { index: number; file: ManifestFile }[],
  targets: Set<ReceivingFile>,
  context: FetchContext,
): AsyncGenerator<Batch, undefined> {
  for (const { index, file } of wanted) {
    const target = receiveFile(file, context)
    targets.add(target)
    const present = await target.present()
    const count = chunkCount(file)
    for (let first = 0; first < count; ) {
      if (present.has(first)) {
        first += 1
        continue
      }
      let length = 1
      while (
        first + length < count &&
        !present.has(first + length) &&
        chunkOffset(file, first + length + 1) - chunkOffset(file, first) <= TRANSFER.batchBytes
      ) {
        length += 1
      }
      yield { index, file, target, first, count: length }
      first += length
    }
  }
  return undefined
}

function untilAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
