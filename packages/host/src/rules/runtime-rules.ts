import { formatByteSize, type GpuNeed, gpuFits } from '@manyhands/core'
import { canCheckpointLive } from '../checkpoints/checkpoint-keeper.ts'
import type { AdmissionState, Rule } from './rule.ts'

/** What the runtime that is asked for can do here. */
export const RUNTIME_RULES: Rule[] = [
  {
    name: 'runtime',
    temporary: false,
    refuse: ({ runtime }, { runtimes }) =>
      runtimes.has(runtime) ? undefined : `runtime ${runtime} is not offered`,
    allow: ({ runtime }) => `${runtime} is offered`,
  },
  {
    name: 'runtime',
    temporary: true,
    refuse: ({ runtime }, { runtimes }) => {
      const fingerprint = runtimes.get(runtime)?.fingerprint
      if (fingerprint === undefined || fingerprint.available) return undefined
      return `runtime ${runtime} is not available: ${fingerprint.detail ?? 'no reason known'}`
    },
    allow: ({ runtime }, { runtimes }) => {
      const fingerprint = runtimes.get(runtime)?.fingerprint
      return fingerprint === undefined ? 'not asked' : `${runtime} is available`
    },
  },
  {
    name: 'networkProfiles',
    temporary: false,
    refuse: ({ runtime, networkProfile }, { runtimes }) => {
      const capabilities = runtimes.get(runtime)?.runtime.capabilities
      if (networkProfile === 'none' || capabilities === undefined || capabilities.egress) {
        return undefined
      }
      return `runtime ${runtime} cannot hold a task to the destinations it names`
    },
    allow: ({ runtime, networkProfile }) =>
      networkProfile === 'none' ? 'asks for no network' : `${runtime} holds it to them`,
  },
  {
    name: 'warm',
    temporary: false,
    refuse: ({ runtime, warm }, { runtimes }) => {
      const capabilities = runtimes.get(runtime)?.runtime.capabilities
      if (!warm || capabilities === undefined || capabilities.warm) return undefined
      return `runtime ${runtime} cannot keep a sandbox warm for the next task`
    },
    allow: ({ runtime, warm }) =>
      warm ? `${runtime} keeps sandboxes warm` : 'asks for a sandbox of its own',
  },
  {
    name: 'checkpoint',
    temporary: false,
    refuse: ({ runtime, checkpoint }, { runtimes }) => {
      const capabilities = runtimes.get(runtime)?.runtime.capabilities
      if (checkpoint === undefined || capabilities === undefined) return undefined
      if (!capabilities.restore) return `runtime ${runtime} cannot begin with files of a checkpoint`
      if (checkpoint === 'end' || canCheckpointLive(capabilities)) return undefined
      return `runtime ${runtime} shows here nothing of what a task has written while it runs`
    },
    allow: ({ runtime, checkpoint }) =>
      checkpoint === undefined ? 'asks for none' : `${runtime} makes and restores them`,
  },
  {
    name: 'gpus',
    temporary: false,
    refuse: ({ runtime, resources, gpu }, state) => {
      if (resources.gpus === 0) return undefined
      const ids = gpuIdsOf(runtime, state)
      const lent = state.ledger.gpus.filter(({ id }) => ids.has(id))
      const fitting = lent.filter((device) => gpuFits(device, gpu)).length
      if (fitting >= resources.gpus) return undefined
      return `asks for ${resources.gpus} GPUs ${needed(gpu)}, ${fitting} of ${lent.length} here are`
    },
    allow: ({ resources, gpu }) =>
      resources.gpus === 0 ? 'asks for none' : `asks for ${resources.gpus} ${needed(gpu)}`.trim(),
  },
  {
    name: 'gpus',
    temporary: true,
    refuse: ({ runtime, resources, gpu }, state) => {
      if (resources.gpus === 0) return undefined
      const wish = { need: gpu, within: gpuIdsOf(runtime, state) }
      const free = state.ledger.freeGpus(wish).length
      if (free >= resources.gpus) return undefined
      return `asks for ${resources.gpus} GPUs ${needed(gpu)}, ${free} such are free now`
    },
    allow: ({ runtime, gpu }, state) => {
      const wish = { need: gpu, within: gpuIdsOf(runtime, state) }
      return `${state.ledger.freeGpus(wish).length} such are free now`
    },
  },
]

/** Ids of the GPUs that a runtime can give to attempts. */
export function gpuIdsOf(
  runtime: string,
  { runtimes }: Pick<AdmissionState, 'runtimes'>,
): ReadonlySet<string> {
  return new Set(runtimes.get(runtime)?.fingerprint.gpus?.map(({ id }) => id))
}

function needed({ model, memoryBytes }: GpuNeed = {}): string {
  return [
    model === undefined ? '' : `of model ${model}`,
    memoryBytes === undefined ? '' : `with ${formatByteSize(memoryBytes)}`,
  ]
    .filter((part) => part !== '')
    .join(' ')
}
