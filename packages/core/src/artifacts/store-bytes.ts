import { LIMITS } from '../limits.ts'
import type { ManifestFile } from './artifact-store.ts'
import type { ContentFiles } from './content-files.ts'
import type { DurableDirectory } from './durable-directory.ts'
import { chunkCount, fileId } from './manifest.ts'
import { sha256 } from './sha256.ts'

/** Puts bytes into the store as a file; its id is needed (counted) from then on. */
export async function storeBytes(
  bytes: Uint8Array,
  { contents, durable }: { contents: ContentFiles; durable: DurableDirectory },
): Promise<ManifestFile> {
  const chunks = new Uint8Array(chunkCount(bytes.length) * 32)
  for (let start = 0, index = 0; start < bytes.length; start += LIMITS.chunkBytes, index++) {
    chunks.set(await sha256(bytes.subarray(start, start + LIMITS.chunkBytes)), index * 32)
  }
  const file: ManifestFile = { path: '', size: bytes.length, executable: false, chunks }
  const id = fileId(file)
  contents.acquire([id])
  try {
    await contents.settled()
    if (!(await contents.has(id))) {
      await contents.adopt(await durable.writeTemporary(bytes, 0o444), id)
    }
    return file
  } catch (error) {
    contents.forget([id])
    throw error
  }
}
