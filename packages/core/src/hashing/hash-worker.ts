import { readSync, writeSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
import { chunkAt, chunkCount, chunkHash, chunkOffset } from '../artifacts/chunk-layout.ts'
import { findCut } from '../artifacts/content-cut.ts'
import { sha256Now } from '../artifacts/sha256.ts'
import { TRANSFER } from '../artifacts/transfer-limits.ts'
import { ManyhandsError, toManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import {
  BLOCK_BYTES,
  type BlockChunks,
  copiesOf,
  type HashAnswer,
  HashControl,
  type HashJob,
  type HashTask,
  type ThreadResult,
} from './hash-job.ts'

/** A thread that cuts and hashes files. It does nothing else, so it may wait and read as it likes. */

/** The block, behind room for the beginning of a chunk that goes on in it. */
const buffer = Buffer.allocUnsafeSlow(LIMITS.chunkMaxBytes + BLOCK_BYTES)
const ROOM = LIMITS.chunkMaxBytes

const answer = (message: HashAnswer): void => parentPort!.postMessage(message)

parentPort!.on('message', ({ task, blocks, control: shared }: HashJob) => {
  const control = new HashControl(blocks, shared)
  try {
    answer({ kind: 'end', result: run(task, control) })
  } catch (error) {
    control.stop()
    answer({ kind: 'end', error: toManyhandsError(error).toJSON() })
  }
})
answer({ kind: 'ready' })

function run(task: HashTask, control: HashControl): ThreadResult {
  if (task.kind === 'cut') return { cut: cutBlocks(task, control) }
  if (task.kind === 'copy') return { copied: copyChunks(task, control) }
  return { wrong: !verifyBlocks(task, control) }
}

type Task<Kind> = Extract<HashTask, { kind: Kind }>

function cutBlocks({ fd, size }: Task<'cut'>, control: HashControl): BlockChunks[] {
  const cut: BlockChunks[] = []
  for (let block = control.claim(); block !== undefined; block = control.claim()) {
    const position = block * BLOCK_BYTES
    const length = Math.min(BLOCK_BYTES, size - position)
    readFull(fd, buffer.subarray(ROOM, ROOM + length), position)
    const start = control.turn(block)
    if (start === undefined) break
    let at = ROOM + start - position
    if (at < ROOM) readFull(fd, buffer.subarray(at, ROOM), start)
    const bytes = buffer.subarray(0, ROOM + length)
    const ends: number[] = []
    const first = at
    while (at < bytes.length) {
      const end = findCut(bytes, at, size - position - (at - ROOM), size)
      if (end === 0) break
      ends.push(end)
      at = end
    }
    control.pass(block, position + at - ROOM)
    const hashes = new Uint8Array(ends.length * 32)
    const lengths: number[] = []
    let from = first
    for (const [index, end] of ends.entries()) {
      hashes.set(sha256Now(bytes.subarray(from, end)), index * 32)
      lengths.push(end - from)
      from = end
    }
    cut.push({ block, hashes, lengths })
  }
  return cut
}

/** Checks the chunks that begin in each block. */
function verifyBlocks(file: Task<'verify'>, control: HashControl): boolean {
  const { fd, copyTo } = file
  for (let block = control.claim(); block !== undefined; block = control.claim()) {
    const first = chunkAt(file, block * BLOCK_BYTES)
    const end = Math.min(chunkAt(file, (block + 1) * BLOCK_BYTES), chunkCount(file))
    const position = chunkOffset(file, first)
    const bytes = buffer.subarray(0, chunkOffset(file, end) - position)
    readFull(fd, bytes, position)
    for (let index = first; index < end; index++) {
      const at = chunkOffset(file, index) - position
      const chunk = bytes.subarray(at, chunkOffset(file, index + 1) - position)
      if (Buffer.compare(sha256Now(chunk), chunkHash(file, index)) !== 0) {
        control.stop()
        return false
      }
    }
    if (copyTo !== undefined) writeFull(copyTo, bytes, position)
  }
  return true
}

/** Bytes that are not what the index says, or not there, are nobody's fault: they come from a peer. */
function copyChunks(task: Task<'copy'>, control: HashControl): number[] {
  const { fd, copyTo, hashes, places } = task
  const copied: number[] = []
  for (let block = control.claim(); block !== undefined; block = control.claim()) {
    const [first, end] = copiesOf(block, task)
    for (let index = first; index < end; index++) {
      const [from, to, length] = places.subarray(index * 3)
      const bytes = buffer.subarray(0, length)
      try {
        readFull(fd, bytes, from!)
      } catch {
        continue
      }
      const expected = hashes.subarray(index * 32, index * 32 + 32)
      if (Buffer.compare(sha256Now(bytes), expected) !== 0) continue
      writeFull(copyTo, bytes, to!)
      copied.push(index)
    }
  }
  return copied
}

function readFull(fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; ) {
    const read = readSync(fd, bytes, done, bytes.length - done, position + done)
    if (read === 0) {
      throw new ManyhandsError('INPUT_CHANGED', 'a file became shorter while it was read')
    }
    done += read
  }
}

/** In pieces, as writeFully does. */
function writeFull(fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; ) {
    const length = Math.min(TRANSFER.writeBytes, bytes.length - done)
    done += writeSync(fd, bytes, done, length, position + done)
  }
}
