import type { Manifest, ManifestFile } from '../artifacts/artifact-store.ts'
import type { ContentFiles } from '../artifacts/content-files.ts'
import type { FileClaims } from '../artifacts/file-claims.ts'
import { fileId } from '../artifacts/manifest.ts'
import { ITEMS_PER_TURN, inTurns, type Work } from '../artifacts/turns.ts'
import type { FetchContext } from './fetch-context.ts'

/** Files by id, with where they are in the manifest: each content once. */
export type WantedFiles = Map<string, { index: number; file: ManifestFile }>

/** All that a manifest wants. */
export function* distinctFiles(manifest: Manifest): Work<WantedFiles> {
  const files: WantedFiles = new Map()
  for (const [index, file] of manifest.files.entries()) {
    if (index % ITEMS_PER_TURN === 0) yield
    const id = fileId(file)
    if (!files.has(id)) files.set(id, { index, file })
  }
  return files
}

/** Claims what is not here and nobody else is receiving; what is here is taken out of `open`. */
export async function claimMissing(
  open: WantedFiles,
  { claims, contents, signal }: FetchContext,
): Promise<WantedFiles> {
  const mine: WantedFiles = new Map()
  try {
    await inTurns(claiming(open, mine, claims, contents), signal)
    return mine
  } catch (error) {
    for (const id of mine.keys()) claims.release(id)
    throw error
  }
}

function* claiming(
  open: WantedFiles,
  mine: WantedFiles,
  claims: FileClaims,
  contents: ContentFiles,
): Work<void> {
  for (const [id, wanted] of open) {
    yield
    // Claimed before the look, so that nobody begins it in between.
    if (!claims.claim(id)) continue
    if (!contents.hasNow(id)) mine.set(id, wanted)
    else {
      claims.release(id)
      open.delete(id)
    }
  }
}
