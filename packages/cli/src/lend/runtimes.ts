import { ManyhandsError, type Runtime } from '@manyhands/core'

export interface RuntimeSettings {
  env: Record<string, string | undefined>
  /** What separates containers from this computer; default: what the engine does by itself. */
  isolation?: string
}

/** Runtimes by name, loaded when asked for: an engine's client library is nobody's business else. */
const LOADERS: Record<string, (settings: RuntimeSettings) => Promise<Runtime>> = {
  docker: async ({ env, isolation }) => {
    const { docker } = await import('@manyhands/docker-runtime')
    // What Docker's and Podman's own commands honour; the library itself reads no environment.
    return docker({ env, isolation })
  },
  wasm: async () => (await import('@manyhands/wasm-runtime')).wasm(),
  // For tests of the command: runs nothing, does what its arguments say.
  scripted: async () => (await import('@manyhands/testing')).scripted(),
}

/** What a host offers when its owner names nothing. */
export const DEFAULT_RUNTIMES = ['docker', 'wasm']

/** @throws USAGE for a name that is not known */
export async function loadRuntimes(names: string[], settings: RuntimeSettings): Promise<Runtime[]> {
  const runtimes: Runtime[] = []
  for (const name of new Set(names)) {
    const load = Object.hasOwn(LOADERS, name) ? LOADERS[name] : undefined
    if (load === undefined) {
      throw new ManyhandsError('USAGE', `there is no runtime '${name}'`, {
        hint: `Known runtimes: ${DEFAULT_RUNTIMES.join(', ')}.`,
      })
    }
    runtimes.push(await load(settings))
  }
  return runtimes
}
