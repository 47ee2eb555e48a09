import type { AttemptSpec, GpuNeed, Resources } from '@manyhands/core'

/** What a client asks for, as rules see it. */
export interface AdmissionRequest {
  /** Peer id of the client. */
  client: string
  runtime: string
  image: string
  resources: Resources
  /** Milliseconds; 0: the host's own maximum. */
  timeoutMs: number
  networkProfile: 'none' | { egress: string[] }
  /** What each GPU of `resources.gpus` has to be; undefined when any will do. */
  gpu?: GpuNeed
}

/** What one rule says of a request. */
export interface RuleVerdict {
  /** The setting that decides: `clients`, `quotas.attempts`, `hours` … */
  rule: string
  allowed: boolean
  /** In words and numbers, for the owner and the client; also when it is allowed. */
  detail: string
  /** Whether the same request may be allowed later without a change of policy. */
  temporary: boolean
}

/** What an attempt's spec asks for. */
export function requestOf(client: string, spec: AttemptSpec): AdmissionRequest {
  const { runtime, image, resources, timeoutMs, networkProfile, gpu } = spec
  return { client, runtime, image, resources, timeoutMs, networkProfile, gpu }
}
