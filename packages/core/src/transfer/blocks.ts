import type { Manifest } from '../artifacts/artifact-store.ts'
import { chunkCount, chunkLength } from '../artifacts/chunk-layout.ts'
import { fileId } from '../artifacts/manifest.ts'
import { TRANSFER } from '../artifacts/transfer-limits.ts'
import { ITEMS_PER_TURN, type Work } from '../artifacts/turns.ts'

/** Chunks of one file side by side. */
export interface BlockPiece {
  /** Index in the manifest. */
  file: number
  first: number
  count: number
}

/** What is asked for, and told to others, as one. */
export type Block = BlockPiece[]

/**
 * Cuts an artifact's content into blocks. Everybody who has the manifest gets the same ones: files in
 * the manifest's order, each content once, and a block ends with the chunk that fills it or with its
 * many-th piece.
 */
export function* blocksOf(manifest: Manifest): Work<Block[]> {
  const blocks: Block[] = []
  const seen = new Set<string>()
  let block: Block = []
  let bytes = 0
  const end = () => {
    if (block.length > 0) blocks.push(block)
    block = []
    bytes = 0
  }
  for (const [index, file] of manifest.files.entries()) {
    if (index % ITEMS_PER_TURN === 0) yield
    const id = fileId(file)
    if (seen.has(id)) continue
    seen.add(id)
    const count = chunkCount(file)
    let first = 0
    for (let chunk = 0; chunk < count; chunk++) {
      bytes += chunkLength(file, chunk)
      if (bytes < TRANSFER.swarmBlockBytes && chunk + 1 < count) continue
      block.push({ file: index, first, count: chunk + 1 - first })
      first = chunk + 1
      if (bytes >= TRANSFER.swarmBlockBytes || block.length >= TRANSFER.blockPieces) end()
    }
  }
  end()
  return blocks
}
