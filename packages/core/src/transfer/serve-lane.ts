import { TRANSFER } from '../artifacts/transfer-limits.ts'
import { ManyhandsError, toManyhandsError } from '../errors.ts'
import type { FrameStream } from '../network/network.ts'
import type { FrameRing } from './frame-ring.ts'
import { GuardedStream } from './guarded-stream.ts'
import type { LaneDisk } from './lane-disk.ts'
import type { LocatedFile, ServeCommand, ServeReport, WantedRange } from './lane-messages.ts'
import type { LanePort } from './lane-port.ts'
import { readWant } from './transfer-frames.ts'

/** A byte range of a file, which whoever located it knows to lie in it. */
interface Piece {
  file: LocatedFile
  position: number
  length: number
}

/**
 * The giving end of a lane: sends what is wanted as one sequence of bytes. Nothing is remembered
 * between wants but which files are open. What fails is told to the peer as a typed error, after which
 * it has to open another lane.
 */
export async function runServeLane(
  stream: FrameStream,
  port: LanePort<ServeCommand, ServeReport>,
  disk: LaneDisk,
  ring: FrameRing,
): Promise<void> {
  const first = await port.next()
  if (first?.kind !== 'serve') {
    stream.abort()
    return
  }
  const guarded = new GuardedStream(stream, TRANSFER.openMs)
  const ask = async <Kind extends ServeCommand['kind']>(report: ServeReport, kind: Kind) => {
    port.post(report)
    const answer = await port.next()
    if (answer?.kind === 'fail') throw ManyhandsError.fromJSON(answer.error)
    if (answer?.kind === kind) return answer as Extract<ServeCommand, { kind: Kind }>
    throw new ManyhandsError('CANCELED', 'the transfer was ended')
  }
  const pace: Pace = { bytes: Math.min(first.mostBytes, TRANSFER.lotBytes), most: first.mostBytes }
  try {
    if (!first.opened) await ask({ kind: 'opened', frame: await guarded.expect() }, 'admitted')
    for (;;) {
      // A receiver may think between two wants; its disk may be slow.
      guarded.allow(Math.max(first.stallMs, TRANSFER.idleMs))
      const frame = await guarded.next()
      if (frame === undefined) break
      guarded.allow(first.stallMs)
      for (const ranges of lotsOf(readWant(frame), pace)) {
        const began = performance.now()
        const [files, ends] = reachesOf(ranges)
        const bytes = ranges.reduce((sum, [, , length]) => sum + length, 0)
        let located = await ask({ kind: 'locate', files, ends, bytes }, 'located')
        if (!(await openMoving(disk, located.files))) {
          located = await ask({ kind: 'locate', files, ends, bytes: 0 }, 'located')
        }
        const byIndex = new Map(files.map((file, index) => [file, located.files[index]!]))
        const sent = await sendRanges(guarded, disk, ring, piecesOf(ranges, byIndex))
        port.post({ kind: 'sent', bytes: sent })
        if (bytes >= pace.bytes) adapt(pace, performance.now() - began)
      }
    }
    await guarded.close()
    port.post({ kind: 'ended' })
  } catch (error) {
    port.post({ kind: 'failed', error: toManyhandsError(error).toJSON() })
    const farewell = await port.next()
    if (farewell?.kind === 'farewell') await sendFarewell(guarded, farewell.frame)
    else guarded.fail(error)
  } finally {
    await disk.close()
    port.close()
  }
}

/** Opens files that get another name when they are whole. False when one has it by now. */
async function openMoving(disk: LaneDisk, files: LocatedFile[]): Promise<boolean> {
  for (const file of files) {
    if (!file.moving) continue
    try {
      await disk.open(file)
    } catch {
      return false
    }
  }
  return true
}

/** Bytes of a lot now, and at most. */
interface Pace {
  bytes: number
  readonly most: number
}

/** Each lot is a question to another thread: a fast peer has fewer and larger ones. */
function adapt(pace: Pace, tookMs: number): void {
  if (tookMs < TRANSFER.lotMs / 2) pace.bytes = Math.min(pace.most, pace.bytes * 2)
  else if (tookMs > TRANSFER.lotMs) {
    pace.bytes = Math.max(Math.min(pace.most, TRANSFER.lotBytes), pace.bytes / 2)
  }
}

/** Ranges whose bytes are counted before they are sent; a long want is looked at piece by piece. */
function* lotsOf(ranges: WantedRange[], pace: Pace): Generator<WantedRange[]> {
  let lot: WantedRange[] = []
  let bytes = 0
  for (const [file, position, length] of ranges) {
    for (let done = 0; done < length; ) {
      const part = Math.min(length - done, pace.bytes - bytes)
      lot.push([file, position + done, part])
      bytes += part
      done += part
      if (bytes < pace.bytes && lot.length < TRANSFER.lotRanges) continue
      yield lot
      lot = []
      bytes = 0
    }
  }
  if (lot.length > 0) yield lot
}

/** The files of some ranges, and how far into each of them they go. */
function reachesOf(ranges: WantedRange[]): [files: number[], ends: number[]] {
  const ends = new Map<number, number>()
  for (const [file, position, length] of ranges) {
    ends.set(file, Math.max(ends.get(file) ?? 0, position + length))
  }
  return [[...ends.keys()], [...ends.values()]]
}

function piecesOf(ranges: WantedRange[], files: ReadonlyMap<number, LocatedFile>): Piece[] {
  return ranges.map(([index, position, length]) => {
    return { file: files.get(index)!, position, length }
  })
}

/** Sends pieces as frames of full size; a frame takes the ends of several small files. */
async function sendRanges(
  guarded: GuardedStream,
  disk: LaneDisk,
  ring: FrameRing,
  pieces: Piece[],
): Promise<number> {
  let left = pieces.reduce((sum, { length }) => sum + length, 0)
  let sent = 0
  let frame = ring.take(Math.min(left, TRANSFER.frameBytes))
  let filled = 1
  for (const { file, position, length } of pieces) {
    for (let done = 0; done < length; ) {
      const part = frame.subarray(filled, filled + Math.min(frame.length - filled, length - done))
      await disk.read(file, position + done, part)
      filled += part.length
      done += part.length
      if (filled < frame.length) continue
      await guarded.send(frame)
      ring.give(frame)
      sent += frame.length - 1
      left -= frame.length - 1
      if (left > 0) frame = ring.take(Math.min(left, TRANSFER.frameBytes))
      filled = 1
    }
  }
  return sent
}

/** Tells the peer why it gets nothing more. Never throws. */
export async function sendFarewell(guarded: GuardedStream, frame: Uint8Array): Promise<void> {
  if (guarded.failure !== undefined) return
  try {
    guarded.allow(TRANSFER.openMs)
    await guarded.send(frame)
    await guarded.close()
  } catch (lost) {
    guarded.fail(lost)
  }
}
