import { createHash } from 'node:crypto'
import type { AttemptSpec, WireInput } from '../wire/attempt-spec.ts'
import { encodeDocument } from '../wire/codec.ts'

/** Specs that many attempts share are hashed once. */
const known = new WeakMap<AttemptSpec, string>()

/** Which fields of a spec decide what is run. Every new field has to be in one of the two. */
const DECIDES = {
  runtime: true,
  image: true,
  command: true,
  args: true,
  env: true,
  outputs: true,
  resources: true,
  timeoutMs: true,
  networkProfile: true,
  gpu: true,
  secrets: true,
  warm: true,
  checkpoint: true,
  // Has a digest of its own.
  inputs: false,
  // The receipt has its root.
  restore: false,
  // What an image is called, and when outputs come, changes no result.
  offeredImage: false,
  streamOutputs: false,
} as const satisfies Record<keyof AttemptSpec, boolean>

/**
 * `sha256:…` of what an attempt was to do: the DAG-CBOR of the fields of its spec that decide it. Its
 * inputs are apart, as {@link inputsDigest}. A field that is absent leaves the digest as it was before there
 * was such a field, so that peers that do not know it agree about specs without it.
 */
export function specDigest(spec: AttemptSpec): string {
  const before = known.get(spec)
  if (before !== undefined) return before
  const fields = Object.entries(spec).filter(([field]) => DECIDES[field as keyof AttemptSpec])
  const digest = digestOf({ ...Object.fromEntries(fields), v: 1 })
  known.set(spec, digest)
  return digest
}

/** `sha256:…` of what an attempt is run on: the DAG-CBOR of `[{ path, root }, …]`, sorted by path. */
export function inputsDigest(inputs: readonly WireInput[]): string {
  if (inputs.length === 0) return NO_INPUTS
  const sorted = inputs.map(({ path, root }) => ({ path, root })).sort(byPath)
  return digestOf(sorted)
}

/** `sha256:…` of plain bytes. */
export function bytesDigest(bytes: Uint8Array): string {
  return bytes.length === 0
    ? NO_BYTES
    : `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

const NO_BYTES = `sha256:${createHash('sha256').digest('hex')}`
const NO_INPUTS = digestOf([])

function digestOf(document: unknown): string {
  return bytesDigest(encodeDocument(document))
}

function byPath(a: { path: string }, b: { path: string }): number {
  return a.path < b.path ? -1 : a.path > b.path ? 1 : 0
}
