import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { GcSection } from '../gc-report.ts'
import { ContentFiles } from './content-files.ts'
import { DurableDirectory } from './durable-directory.ts'
import { KeptArtifacts } from './kept-artifacts.ts'
import { fileId } from './manifest.ts'
import { ManifestFiles } from './manifest-files.ts'
import { planStore } from './store-plan.ts'
import { PARTIAL_REST_MS } from './store-water.ts'

/**
 * Says what {@link ArtifactStore.gc} would do to a store that no process has open, without opening it:
 * nothing on the disk changes. A directory that does not exist is an empty store.
 *
 * @param options.holders - who holds what, by root
 */
export async function surveyStore(options: {
  dir: string
  holders: ReadonlyMap<string, readonly string[]>
  keepBytes?: number
  reasonOf?: (holder: string) => string
}): Promise<GcSection> {
  const dir = resolve(options.dir)
  const partDir = join(dir, 'part')
  const made = await Promise.all(['cas', 'manifests'].map((name) => isThere(join(dir, name))))
  if (made.includes(false)) {
    return { room: 'artifacts', removed: { artifacts: 0, files: 0, bytes: 0 }, kept: [] }
  }
  const durable = new DurableDirectory(partDir)
  const contents = new ContentFiles(join(dir, 'cas'), durable)
  const manifests = new ManifestFiles(join(dir, 'manifests'), durable)
  for await (const { files } of manifests.open()) contents.acquire(new Set(files.map(fileId)))
  const { removed, kept } = await planStore(
    {
      contents,
      manifests,
      kept: await KeptArtifacts.open(join(dir, 'kept')),
      partDir,
      holdersOf: (root) => options.holders.get(root) ?? [],
      inUse: () => false,
      receiving: () => false,
    },
    {
      keepBytes: options.keepBytes ?? Number.POSITIVE_INFINITY,
      restMs: PARTIAL_REST_MS,
      loose: true,
      temporaries: true,
      reasonOf: options.reasonOf ?? (() => 'held'),
    },
  )
  return { room: 'artifacts', removed, kept }
}

async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  )
}
