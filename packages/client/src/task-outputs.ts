import { copyFile, mkdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type ArtifactStore, ManyhandsError, type TaskOutputs } from '@manyhands/core'
import { outputPath } from './local-paths.ts'

/** Outputs of a task that wrote nothing, or whose outputs were not kept. */
export const NO_OUTPUTS: TaskOutputs = {
  files: [],
  artifact: '',
  saveTo: async () => [],
  read: (path) => Promise.reject(new ManyhandsError('NOT_FOUND', `the task wrote no file ${path}`)),
}

/** Outputs in this client's store. */
export async function storedOutputs(store: ArtifactStore, root: string): Promise<TaskOutputs> {
  const artifact = await store.get(root)
  if (artifact === undefined) {
    throw new ManyhandsError('ARTIFACT_MISSING', `outputs ${root} are no longer in the store`)
  }
  const files = artifact.manifest.files.map(({ path, size }) => ({ path, size }))
  return {
    files,
    artifact: root,
    read: (path) => store.read(root, path),
    saveTo: async (dir) => {
      // Placed aside first: existing files of the target are replaced one by one, others stay.
      const target = outputPath(dir)
      // What a process that was killed has left there goes with it.
      const aside = `${target}.part`
      await mkdir(target, { recursive: true })
      await rm(aside, { recursive: true, force: true })
      await store.place(root, aside, 'copy')
      try {
        const saved: string[] = []
        for (const { path } of files) {
          const to = join(target, path)
          await mkdir(dirname(to), { recursive: true })
          await moveOver(join(aside, path), to)
          saved.push(to)
        }
        return saved
      } finally {
        await rm(aside, { recursive: true, force: true })
      }
    },
  }
}

/** Whoever reads a file that is replaced sees the old one or the new one, whole. */
async function moveOver(from: string, to: string): Promise<void> {
  try {
    await rename(from, to)
  } catch (cause) {
    // Something below the target may be mounted from elsewhere.
    if ((cause as NodeJS.ErrnoException).code !== 'EXDEV') throw cause
    await copyFile(from, to)
  }
}
