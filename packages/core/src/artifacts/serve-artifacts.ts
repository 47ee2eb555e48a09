import type { FileHandle } from 'node:fs/promises'
import { type ErrorDocument, ManyhandsError, toManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import type { FrameStream } from '../network/network.ts'
import type { ArtifactContent } from './artifact-content.ts'
import type { Manifest } from './artifact-store.ts'
import { chunkCount, chunkOffset } from './chunk-layout.ts'
import { FrameRing } from './frame-ring.ts'
import { GuardedStream } from './guarded-stream.ts'
import { readFully } from './hash-file.ts'
import { TRANSFER } from './transfer-limits.ts'
import {
  bytesFrame,
  FRAME,
  failedFrame,
  foundFrame,
  readOpen,
  readWant,
  type WantedRange,
} from './transfer-messages.ts'

export interface ServeOptions {
  /** The artifact if this peer may have it. */
  find: (root: string) => Promise<ArtifactContent | undefined>
  /** Hears of content as it leaves. */
  sent?: (root: string, bytes: number) => void
  /** Resolves when so much content may leave; see TransferGovernor. */
  take?: (bytes: number) => Promise<void> | undefined
  stallMs?: number
}

/**
 * Answers one receiver until it ends the stream. Nothing is remembered between wants; what fails is
 * told as a typed error, after which the receiver has to open a new stream.
 */
export async function serveArtifacts(stream: FrameStream, options: ServeOptions): Promise<void> {
  const { find, sent = () => {}, take, stallMs = TRANSFER.stallMs } = options
  const guarded = new GuardedStream(stream, LIMITS.streamHeaderMs)
  const files = new OpenFiles()
  const ring = new FrameRing()
  try {
    const { root, bare } = readOpen(await guarded.expect())
    guarded.allow(stallMs)
    const content = await find(root)
    // One answer for what is unknown and for what is not allowed: a stranger learns nothing.
    if (content === undefined) {
      throw new ManyhandsError('ARTIFACT_MISSING', `${root} is not here`)
    }
    if (!bare) await sendManifest(guarded, content)
    for (;;) {
      guarded.allow(Math.max(stallMs, TRANSFER.idleMs))
      const frame = await guarded.next()
      if (frame === undefined) break
      guarded.allow(stallMs)
      const told = (bytes: number) => sent(root, bytes)
      await sendRanges(guarded, content, { files, ring, told, take }, readWant(frame))
    }
    await guarded.close()
  } catch (error) {
    await sendFailure(guarded, toManyhandsError(error))
  } finally {
    await files.close()
  }
}

async function sendFailure(guarded: GuardedStream, error: ManyhandsError): Promise<void> {
  if (guarded.failure !== undefined) return
  try {
    guarded.allow(LIMITS.streamHeaderMs)
    await guarded.send(failedFrame(publicError(error)))
    await guarded.close()
  } catch (lost) {
    guarded.fail(lost)
  }
}

/** Paths of this computer are nobody else's business. */
function publicError(error: ManyhandsError): ErrorDocument {
  const { code, hint, blame } = error.toJSON()
  const kept =
    code === 'ARTIFACT_MISSING' ||
    code === 'PROTOCOL' ||
    code === 'LIMIT' ||
    code === 'TRANSFER_QUOTA'
  const message = code === 'INPUT_CHANGED' ? 'a file changed at its source' : 'reading failed'
  return { code, message: kept ? error.message : message, hint, blame }
}

async function sendManifest(guarded: GuardedStream, content: ArtifactContent): Promise<void> {
  await guarded.send(foundFrame(await content.encodedBytes()))
  for await (const piece of content.encoded(TRANSFER.frameBytes)) {
    const frame = bytesFrame(FRAME.manifest, piece.length)
    frame.set(piece, 1)
    await guarded.send(frame)
  }
}

interface Sending extends Pick<ServeOptions, 'take'> {
  files: OpenFiles
  ring: FrameRing
  told: (bytes: number) => void
}

/** Bytes of one file that lie in one frame. */
interface Piece {
  file: number
  position: number
  length: number
}

/** Sends wanted bytes; a few frames are read ahead, so that the disk works while the network does. */
async function sendRanges(
  guarded: GuardedStream,
  content: ArtifactContent,
  { files, ring, told, take }: Sending,
  ranges: WantedRange[],
): Promise<void> {
  const sendFirst = async () => {
    const frame = await ahead.shift()!
    await take?.(frame.length - 1)
    await guarded.send(frame)
    // The first byte says what kind of frame it is.
    told(frame.length - 1)
    ring.give(frame)
  }
  const ahead: Promise<Uint8Array>[] = []
  try {
    for (const pieces of planFrames(content.artifact.manifest, ranges)) {
      const frame = readFrame(content, files, ring, pieces)
      // Whoever fails first is waited for in order; the others must not count as unhandled.
      frame.catch(() => undefined)
      ahead.push(frame)
      if (ahead.length >= TRANSFER.framesAhead) await sendFirst()
    }
    while (ahead.length > 0) await sendFirst()
  } finally {
    await Promise.allSettled(ahead)
  }
}

/** Cuts ranges into frames; a frame takes the ends of several small files. @throws PROTOCOL */
export function* planFrames(manifest: Manifest, ranges: WantedRange[]): Generator<Piece[]> {
  let pieces: Piece[] = []
  let room: number = TRANSFER.frameBytes
  for (const [index, first, count] of ranges) {
    const file = manifest.files[index]
    if (file === undefined || first + count > chunkCount(file)) {
      throw new ManyhandsError('PROTOCOL', 'a range was wanted that the artifact does not have')
    }
    let position = chunkOffset(file, first)
    const end = chunkOffset(file, first + count)
    while (position < end) {
      const length = Math.min(room, end - position)
      pieces.push({ file: index, position, length })
      position += length
      room -= length
      if (room > 0) continue
      yield pieces
      pieces = []
      room = TRANSFER.frameBytes
    }
  }
  if (pieces.length > 0) yield pieces
}

async function readFrame(
  content: ArtifactContent,
  files: OpenFiles,
  ring: FrameRing,
  pieces: Piece[],
): Promise<Uint8Array> {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
  const frame = ring.take(length)
  let offset = 1
  const reads = pieces.map((piece) => {
    const target = frame.subarray(offset, offset + piece.length)
    offset += piece.length
    return files.use(content, piece.file, (handle) => readFully(handle, target, piece.position))
  })
  const outcomes = await Promise.allSettled(reads)
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  return frame
}

/** Keeps the file that was read last open, since the next frame mostly goes on in it. */
class OpenFiles {
  #open = new Map<number, { handle: Promise<FileHandle>; users: number }>()
  #newest = -1

  async use(
    content: ArtifactContent,
    index: number,
    work: (handle: FileHandle) => Promise<void>,
  ): Promise<void> {
    let entry = this.#open.get(index)
    if (entry === undefined) {
      entry = { handle: content.open(index), users: 0 }
      this.#open.set(index, entry)
    }
    const before = this.#newest
    this.#newest = index
    entry.users += 1
    if (before !== index) await this.#closeUnused(before)
    try {
      await work(await entry.handle)
    } finally {
      entry.users -= 1
      await this.#closeUnused(index)
    }
  }

  async close(): Promise<void> {
    this.#newest = -1
    for (const index of [...this.#open.keys()]) await this.#closeUnused(index)
  }

  async #closeUnused(index: number): Promise<void> {
    const entry = this.#open.get(index)
    if (entry === undefined || entry.users > 0 || index === this.#newest) return
    this.#open.delete(index)
    const handle = await entry.handle.catch(() => undefined)
    await handle?.close()
  }
}
