import type { AttemptSpec, GpuNeed, OfferedImage, Resources } from '@manyhands/core'

/** What a client asks for, as rules see it. */
export interface AdmissionRequest {
  /** Peer id of the client. */
  client: string
  runtime: string
  image: string
  /** What the client calls its own image and about what it takes, when `image` is the id of one. */
  offeredImage?: OfferedImage
  /** What this host's own engine calls the image of that id; undefined when it has none. */
  imageNames?: readonly string[]
  resources: Resources
  /** Milliseconds; 0: the host's own maximum. */
  timeoutMs: number
  networkProfile: 'none' | { egress: string[] }
  /** Its tasks are to follow each other in one sandbox. */
  warm?: boolean
  /** Files of its tasks are to leave while they run, or when they ask to be continued alone. */
  checkpoint?: 'live' | 'end'
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

/** Roots of the artifacts that an attempt needs, each once. */
export function artifactsOf({
  image,
  inputs,
}: {
  image: string
  inputs: readonly { root: string }[]
}): string[] {
  const roots = new Set(inputs.map(({ root }) => root))
  if (image.startsWith(ARTIFACT)) roots.add(image.slice(ARTIFACT.length))
  return [...roots]
}

/** What an attempt's spec asks for. */
export function requestOf(
  client: string,
  spec: AttemptSpec,
  imageNames?: readonly string[],
): AdmissionRequest {
  const { runtime, image, offeredImage, resources, timeoutMs, networkProfile, gpu } = spec
  const artifacts = artifactsOf(spec)
  return {
    ...{ client, runtime, image, resources, timeoutMs, networkProfile, gpu, artifacts },
    ...(spec.warm === undefined ? {} : { warm: true }),
    ...(spec.checkpoint === undefined
      ? {}
      : { checkpoint: spec.checkpoint.continueCode === undefined ? 'live' : 'end' }),
    ...(offeredImage === undefined ? {} : { offeredImage }),
    ...(imageNames === undefined ? {} : { imageNames }),
  }
}

/** What a client's image takes here, bytes: nothing where the owner has it himself. */
export function carriedBytes({ offeredImage, imageNames = [] }: AdmissionRequest): number {
  return imageNames.length > 0 ? 0 : (offeredImage?.bytes ?? 0)
}
