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
  /** Roots of the artifacts that it needs: inputs, and the image where that is one. Omitted: not known. */
  artifacts?: readonly string[]
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

/** What an image is called that travels like an input. */
const ARTIFACT = 'artifact:'

/** What an attempt's spec asks for. */
export function requestOf(client: string, spec: AttemptSpec): AdmissionRequest {
  const { runtime, image, resources, timeoutMs, networkProfile, gpu, inputs } = spec
  const artifacts = [
    ...new Set([
      ...(image.startsWith(ARTIFACT) ? [image.slice(ARTIFACT.length)] : []),
      ...inputs.map(({ root }) => root),
    ]),
  ]
  return { client, runtime, image, resources, timeoutMs, networkProfile, gpu, artifacts }
}
