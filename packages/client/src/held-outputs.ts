import type { Artifact, TaskOutputs } from '@manyhands/core'

/** Outputs that are at a host: what they consist of is known, and they come when they are read. */
export function heldOutputs(
  { root, manifest }: Pick<Artifact, 'root' | 'manifest'>,
  bring: () => Promise<TaskOutputs>,
): TaskOutputs {
  return {
    files: manifest.files.map(({ path, size }) => ({ path, size })),
    artifact: root,
    read: async (path) => (await bring()).read(path),
    saveTo: async (dir) => (await bring()).saveTo(dir),
  }
}
