import type { ImageSource } from '@manyhands/core'

/**
 * The images of this computer's Docker engine, where the package of that runtime is installed. Loaded
 * when a job first names one: a client that runs no containers needs none of it.
 */
export function defaultImages(): (runtime: string) => Promise<readonly ImageSource[]> {
  let sources: Promise<readonly ImageSource[]> | undefined
  return async (runtime) => {
    if (runtime !== 'docker') return []
    sources ??= load()
    return sources
  }
}

const PACKAGE = '@manyhands/docker-runtime'

async function load(): Promise<readonly ImageSource[]> {
  try {
    const { dockerImages } = await import('@manyhands/docker-runtime')
    return [dockerImages()]
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    if (code === 'ERR_MODULE_NOT_FOUND' && message.includes(PACKAGE)) return []
    throw error
  }
}
