import type { ImageSource, JobSpec } from '@manyhands/core'
import type { CommandContext } from '../command-context.ts'

/**
 * The engine of this computer whose images a job may name: the one that Docker's and Podman's own
 * commands would take. Loaded only for a job that runs in containers.
 */
export async function ownImages(
  { runtime = 'docker' }: Pick<JobSpec, 'runtime'>,
  { env }: Pick<CommandContext, 'env'>,
): Promise<ImageSource[]> {
  if (runtime !== 'docker') return []
  const { dockerImages } = await import('@manyhands/docker-runtime')
  return [dockerImages({ env })]
}
