import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import type { ManifestFile } from './artifact-store.ts'

const HASH_BYTES = 32
const LENGTH_BYTES = 4

/** What a file's chunks are: all that is needed to find and check each of them. */
export type FileChunks = Pick<ManifestFile, 'size' | 'chunks' | 'lengths'>

/** Chunks of a file; none of an empty one. */
export function chunkCount(file: FileChunks): number {
  return file.chunks.length / HASH_BYTES
}

/** Where a chunk begins in its file; for `index` = {@link chunkCount} the file's size. */
export function chunkOffset(file: FileChunks, index: number): number {
  if (file.lengths === undefined) return index === 0 ? 0 : file.size
  return offsetsOf(file)[index]!
}

/** Bytes of one chunk. */
export function chunkLength(file: FileChunks, index: number): number {
  return chunkOffset(file, index + 1) - chunkOffset(file, index)
}

export function chunkHash(file: FileChunks, index: number): Uint8Array {
  return file.chunks.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES)
}

/** The first chunk that begins at a position or after it; {@link chunkCount} when there is none. */
export function chunkAt(file: FileChunks, position: number): number {
  let low = 0
  let high = chunkCount(file)
  while (low < high) {
    const middle = (low + high) >>> 1
    if (chunkOffset(file, middle) < position) low = middle + 1
    else high = middle
  }
  return low
}

/**
 * Why chunks cannot be those of a file; undefined when they can. Does not allocate, and takes no longer
 * than the manifest is long, whatever the numbers say.
 */
export function chunksRefusal({ size, chunks, lengths }: FileChunks): string | undefined {
  const count = chunks.length / HASH_BYTES
  if (!Number.isInteger(count)) return 'the chunk hashes are no whole hashes'
  if (count <= 1) {
    if (lengths !== undefined) return 'a file of one chunk has lengths of chunks'
    const fits = count === 0 ? size === 0 : size > 0 && size <= LIMITS.chunkMaxBytes
    return fits ? undefined : 'the chunk hashes do not fit the size'
  }
  if (lengths?.length !== count * LENGTH_BYTES) return 'the chunk hashes do not fit the lengths'
  let sum = 0
  for (let index = 0; index < count; index++) {
    const length = lengthAt(lengths, index)
    const least = index === count - 1 ? 1 : LIMITS.chunkMinBytes
    if (length < least || length > LIMITS.chunkMaxBytes) return `a chunk of ${length} bytes`
    sum += length
  }
  return sum === size ? undefined : 'the lengths of the chunks do not add up to the size'
}

/** Joins what was found out about the chunks of a file, in their order. */
export function joinChunks(size: number, hashes: Uint8Array[], lengths: number[]): FileChunks {
  const chunks = new Uint8Array(Buffer.concat(hashes))
  if (lengths.length <= 1) return { size, chunks }
  const encoded = new Uint8Array(lengths.length * LENGTH_BYTES)
  const view = new DataView(encoded.buffer)
  for (const [index, length] of lengths.entries()) view.setUint32(index * LENGTH_BYTES, length)
  return { size, chunks, lengths: encoded }
}

const offsets = new WeakMap<Uint8Array, Float64Array>()

/** Counted once per file, so that a chunk is found at once wherever it lies. */
function offsetsOf({ lengths, size }: FileChunks): Float64Array {
  let known = offsets.get(lengths!)
  if (known === undefined) {
    const count = lengths!.length / LENGTH_BYTES
    known = new Float64Array(count + 1)
    for (let index = 0; index < count; index++) {
      known[index + 1] = known[index]! + lengthAt(lengths!, index)
    }
    if (known[count] !== size) throw new ManyhandsError('INTERNAL', 'chunks that were not checked')
    offsets.set(lengths!, known)
  }
  return known
}

function lengthAt(lengths: Uint8Array, index: number): number {
  const at = index * LENGTH_BYTES
  // Multiplied, as a shift by 24 makes large numbers negative.
  return (
    lengths[at]! * 0x1000000 + (lengths[at + 1]! << 16) + (lengths[at + 2]! << 8) + lengths[at + 3]!
  )
}
