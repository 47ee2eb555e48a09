import type { ManifestFile } from '../artifacts/artifact-store.ts'
import { chunkHash, chunkLength, chunkOffset } from '../artifacts/chunk-layout.ts'
import type { ReceivingFile } from '../artifacts/receiving-file.ts'
import type { BlockPiece } from './blocks.ts'
import type { ReceivePiece } from './lane-messages.ts'

/** A file that a transfer receives, and which of its chunks are here. */
export interface DownloadTarget {
  file: ReceivingFile
  present: ReadonlySet<number>
}

export function bytesOf(pieces: readonly ReceivePiece[]): number {
  return pieces.reduce((sum, { length }) => sum + length, 0)
}

/** What is missing of a block's part of a file. */
export function* missingPieces(
  entry: ManifestFile,
  { file, first, count }: BlockPiece,
  { file: receiving, present }: DownloadTarget,
): Generator<ReceivePiece> {
  for (let chunk = first; chunk < first + count; ) {
    if (present.has(chunk)) {
      chunk += 1
      continue
    }
    let end = chunk + 1
    while (end < first + count && !present.has(end)) end += 1
    const lengths: number[] = []
    const hashes = new Uint8Array((end - chunk) * 32)
    for (let at = chunk; at < end; at++) {
      lengths.push(chunkLength(entry, at))
      hashes.set(chunkHash(entry, at), (at - chunk) * 32)
    }
    const position = chunkOffset(entry, chunk)
    const length = chunkOffset(entry, end) - position
    yield { file, position, length, lengths, hashes, ...receiving.place() }
    chunk = end
  }
}

/** The same bytes in as few pieces as can be: what lies side by side is one. */
export function joined(pieces: readonly ReceivePiece[]): ReceivePiece[] {
  const result: ReceivePiece[] = []
  let group: ReceivePiece[] = []
  const end = () => {
    if (group.length === 1) result.push(group[0]!)
    else if (group.length > 1) result.push(asOne(group))
    group = []
  }
  for (const piece of pieces) {
    const last = group.at(-1)
    if (last !== undefined && !follows(last, piece)) end()
    group.push(piece)
  }
  end()
  return result
}

function follows(before: ReceivePiece, piece: ReceivePiece): boolean {
  return before.file === piece.file && before.position + before.length === piece.position
}

function asOne(pieces: ReceivePiece[]): ReceivePiece {
  return {
    ...pieces[0]!,
    length: bytesOf(pieces),
    lengths: pieces.flatMap(({ lengths }) => lengths),
    hashes: Buffer.concat(pieces.map(({ hashes }) => hashes)),
  }
}
