import type { RuntimeSpec } from '@manyhands/core'
import type { Attempt } from './attempt.ts'

/** What a runtime is told of an attempt. */
export function sandboxSpec(
  attempt: Attempt,
  by: {
    instance: string
    image: string
    maxRuntimeMs: number
    secrets: Record<string, Uint8Array> | undefined
  },
): RuntimeSpec {
  const { id, client, job, spec, limits, gpuIds } = attempt
  return {
    attemptId: id,
    labels: { host: by.instance, client, job, attempt: id },
    image: by.image,
    command: spec.command,
    args: spec.args,
    // The task can tell that it is no beginning; how it came to that is nobody's business.
    env: spec.restore === undefined ? spec.env : { ...spec.env, MANYHANDS_CHECKPOINT: '1' },
    resources: limits,
    gpuIds: [...gpuIds],
    maxRuntimeMs: by.maxRuntimeMs,
    networkProfile: spec.networkProfile,
    ...(by.secrets === undefined ? {} : { secrets: by.secrets }),
  }
}
