import type { ManifestFile } from './artifact-store.ts'
import type { ContentFiles } from './content-files.ts'
import type { DurableDirectory } from './durable-directory.ts'
import { hashBytes } from './hash-file.ts'
import { fileId } from './manifest.ts'

/** Puts bytes into the store as a file; its id is needed (counted) from then on. */
export async function storeBytes(
  bytes: Uint8Array,
  { contents, durable }: { contents: ContentFiles; durable: DurableDirectory },
): Promise<ManifestFile> {
  const chunks = await hashBytes(bytes)
  const file: ManifestFile = { path: '', executable: false, ...chunks }
  const id = fileId(file)
  contents.acquire([id])
  try {
    await contents.settled()
    if (!(await contents.isWhole(id, file))) {
      await contents.adopt(await durable.writeTemporary(bytes, 0o444), id)
    }
    return file
  } catch (error) {
    contents.forget([id])
    throw error
  }
}
