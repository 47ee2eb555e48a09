import { existsSync } from 'node:fs'
import { ManyhandsError, type Runtime } from '@manyhands/core'

export interface RuntimeSettings {
  env: Record<string, string | undefined>
  /** What separates containers from this computer; default: what the engine does by itself. */
  isolation?: string
  /** How an attempt's disk is bounded; default: what fits this computer. */
  diskQuota?: 'auto' | 'loop' | 'poll'
  /** Whether tasks have cores of their own; default true. */
  cpuPinning?: boolean
  /** Networks that are not public and may be reached by tasks with egress all the same. */
  egressAllow?: string[]
  /** The kernel of microVMs, and its modules where they are not below /lib/modules. */
  microvmKernel?: string
  microvmModules?: string
}

/** Runtimes by name, loaded when asked for: an engine's client library is nobody's business else. */
const LOADERS: Record<string, (settings: RuntimeSettings) => Promise<Runtime>> = {
  docker: async ({ env, egressAllow, ...settings }) => {
    const { docker } = await import('@manyhands/docker-runtime')
    // What Docker's and Podman's own commands honour; the library itself reads no environment.
    const { isolation, diskQuota, cpuPinning } = settings
    const egress = { allowNetworks: egressAllow }
    return docker({ env, isolation, diskQuota, cpuPinning, egress })
  },
  microvm: async (settings) => {
    const kernel = settings.microvmKernel
    if (kernel === undefined) {
      throw new ManyhandsError('USAGE', 'the runtime microvm needs a kernel', {
        hint: 'Name one: --microvm-kernel /boot/vmlinuz-VERSION',
      })
    }
    const { microvm } = await import('@manyhands/microvm-runtime')
    return microvm({ kernel, modules: settings.microvmModules ?? modulesOf(kernel) })
  },
  wasm: async () => (await import('@manyhands/wasm-runtime')).wasm(),
  // For tests of the command: runs nothing, does what its arguments say.
  scripted: async () => (await import('@manyhands/testing')).scripted(),
}

/** Where a distribution's kernel has its modules; undefined for a kernel of another name. */
function modulesOf(kernel: string): string | undefined {
  const version = /\/boot\/vmlinuz-([^/]+)$/.exec(kernel)?.[1]
  const directory = `/lib/modules/${version}`
  return version !== undefined && existsSync(directory) ? directory : undefined
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
        hint: `Known runtimes: ${[...DEFAULT_RUNTIMES, 'microvm'].join(', ')}.`,
      })
    }
    runtimes.push(await load(settings))
  }
  return runtimes
}
