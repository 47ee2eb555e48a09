import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import {
  type AcceptSpec,
  type AttemptSpec,
  encodeDocument,
  itemRange,
  type JobSpec,
  LIMITS,
  ManyhandsError,
  parseDuration,
  resolveCheckpoint,
  resolveGpuNeed,
  resolveResources,
  type VerifySpec,
  validateJobSpec,
  type WarmWish,
} from '@manyhands/core'
import type { ImageDesk, JobImage } from './images/image-desk.ts'
import { hookNames, hooksOf, type JobDocument, type JobHooks } from './job-document.ts'
import type { JobInputs } from './job-inputs.ts'
import { readItems, type SplitItems } from './split-items.ts'

/** A job spec, checked and resolved: inputs are artifacts, sizes are bytes, paths are gone. */
export interface PreparedJob {
  name: string
  document: JobDocument
  hooks: JobHooks
  specHash: string
  /** What is split by items. */
  items: SplitItems | undefined
  /** The image, when it is one of this client's engine. */
  image: JobImage | undefined
}

type WarmAsked = NonNullable<JobSpec['warm']>

const DEFAULT_OUTPUTS = ['/out/**']
const DEFAULT_ATTEMPTS = 3
/** A task that takes so many times as long as usual is late. */
const LATE_AFTER = 2
const WASM_MAGIC = Buffer.from([0x00, 0x61, 0x73, 0x6d])
/** The magic number and the version. */
const HEAD_BYTES = 8

/**
 * Checks a spec and takes its inputs as artifacts.
 *
 * @throws SPEC_INVALID, RANGE_INVALID, INPUT_UNREADABLE, PATH_UNSAFE, IMAGE_INVALID
 */
export async function prepareJob<Item>(
  unchecked: JobSpec<Item>,
  inputs: JobInputs,
  images: ImageDesk,
  options: { signal?: AbortSignal; salt: () => string },
): Promise<PreparedJob> {
  const spec = validateJobSpec(unchecked)
  const { tasks } = spec
  const range = typeof tasks === 'string' ? itemRange(tasks) : undefined
  const items =
    spec.split?.by === 'items'
      ? await readItems(tasks as JobSpec['tasks'], options.signal)
      : undefined
  const total = items?.count ?? range?.size ?? (Array.isArray(tasks) ? tasks.length : undefined)
  const runtime = spec.runtime ?? 'docker'
  const named =
    typeof spec.image === 'string' && !travels(spec.image, runtime) ? spec.image : undefined
  const offered =
    named === undefined ? undefined : await images.resolve(named, runtime, options.signal)
  const image =
    named === undefined
      ? await imageFile(spec.image, runtime, inputs, options.signal)
      : (offered?.id ?? named)
  const gpu = resolveGpuNeed(spec.resources)
  const given = await inputs.takeAll(spec.inputs, { signal: options.signal })
  const checking = checkingOf(spec as JobSpec)
  const base: AttemptSpec = {
    runtime,
    image,
    ...(offered === undefined
      ? {}
      : { offeredImage: { name: offered.name, bytes: offered.bytes } }),
    command: spec.command,
    args: spec.args,
    env: spec.env ?? {},
    inputs: given.inputs,
    outputs: spec.outputs ?? DEFAULT_OUTPUTS,
    resources: resolveResources(spec.resources),
    timeoutMs: spec.timeout === undefined ? 0 : parseDuration(spec.timeout, 'spec.timeout'),
    networkProfile: spec.networkProfile ?? 'none',
    ...(gpu === undefined ? {} : { gpu }),
    ...(spec.secrets === undefined ? {} : { secrets: Object.keys(spec.secrets) }),
    ...(spec.warm === undefined ? {} : { warm: warmOf(spec.warm) }),
    ...(spec.checkpoint === undefined ? {} : { checkpoint: resolveCheckpoint(spec.checkpoint) }),
    ...(spec.streamOutputs === false || isHeldBack(checking.accept)
      ? { streamOutputs: false }
      : {}),
  }
  const hooks = hooksOf(spec)
  const { only, deny, max, perHost, wait } = spec.hosts ?? {}
  return {
    name: spec.name ?? nameOf(spec.image, runtime),
    document: {
      v: 1,
      unit: spec.unit ?? 'task',
      base,
      ...(given.taken.length === 0 ? {} : { taken: given.taken }),
      failures: Math.max(1, spec.retry?.attempts ?? DEFAULT_ATTEMPTS),
      ...speculation(spec as JobSpec),
      ...(spec.split === undefined ? {} : { split: true }),
      ...(items === undefined ? {} : { items: items.count }),
      ...(spec.fetchOutputs ? { fetchOutputs: true } : {}),
      ...checking,
      // What is compared is here.
      ...(checking.verify === undefined ? {} : { salt: options.salt(), fetchOutputs: true }),
      ...(spec.priority === undefined ? {} : { priority: spec.priority }),
      ...(wait === undefined ? {} : { waitMs: parseDuration(wait, 'spec.hosts.wait') }),
      ...(total === undefined ? {} : { total }),
      ...(range === undefined || items !== undefined ? {} : { range: tasks as string }),
      hosts: { only, deny, max, perHost },
      ...(offered === undefined ? {} : { image: named }),
      hooks: hookNames(hooks),
    },
    hooks,
    specHash: createHash('sha256')
      // What an image is called, and about what it takes, are no part of what it is.
      .update(encodeDocument({ ...base, offeredImage: undefined }))
      .update(described(tasks))
      .update(JSON.stringify([given.taken, spec.split ?? null, ...Object.values(checking)]))
      .digest('hex'),
    items,
    image: offered,
  }
}

function warmOf({ setup, tasksPerSandbox = LIMITS.tasksPerSandboxUsual }: WarmAsked): WarmWish {
  return { tasksPerSandbox, ...(setup === undefined ? {} : { setup }) }
}

/** A part of a range that cannot be cut smaller is run twice as well. */
function speculation({ speculate, split }: JobSpec): { speculateAfter?: number } {
  const wanted = speculate ?? split !== undefined
  if (wanted === false) return {}
  return { speculateAfter: typeof wanted === 'object' ? wanted.after : LATE_AFTER }
}

/** How results are checked, and when they are handed out. Empty, where the spec says neither. */
function checkingOf({ verify, accept }: JobSpec): Pick<JobDocument, 'verify' | 'accept'> {
  const wanted = verify ?? (isHeldBack(accept) ? {} : undefined)
  if (wanted === undefined) return accept === undefined ? {} : { accept }
  const { compare, ...rest }: VerifySpec = wanted
  const comparator = compare === undefined || typeof compare === 'function' ? {} : { compare }
  return { verify: { ...rest, ...comparator }, accept: accept ?? 'job-end' }
}

/** Whether nothing is to be seen that was not checked. */
const isHeldBack = (accept: AcceptSpec | undefined) => accept === 'job-end' || accept === 'quorum'

/** What tells one source from another, as far as that can be told before it is read. */
function described(tasks: JobSpec['tasks']): string {
  if (typeof tasks !== 'string' && !Array.isArray(tasks)) return 'null'
  try {
    return JSON.stringify(tasks)
  } catch {
    // The item that cannot be written fails as a task.
    return `${tasks.length} items`
  }
}

/** Whether an image is a file of this computer, and no name of an engine's. */
function travels(image: string, runtime: string): boolean {
  return runtime === 'wasm' || /^\.{0,2}\//.test(image)
}

function nameOf(image: JobSpec['image'], runtime: string): string {
  return typeof image === 'string' ? image.split('/').at(-1)!.slice(0, 200) : runtime
}

/** An image that hosts fetch from here: a file, or its bytes. */
async function imageFile(
  image: JobSpec['image'],
  runtime: string,
  inputs: JobInputs,
  signal: AbortSignal | undefined,
): Promise<string> {
  if (typeof image !== 'string') {
    const bytes = image instanceof Blob ? await image.bytes() : image
    if (runtime === 'wasm') assertWasm(bytes.subarray(0, HEAD_BYTES), 'the image')
    const { root } = await inputs.take(bytes, 'image', { signal })
    return `artifact:${root}`
  }
  const artifact = await inputs.path(image, { signal })
  if (artifact.manifest.kind !== 'file') {
    throw new ManyhandsError('IMAGE_INVALID', `image ${image} is a directory, expected one file`)
  }
  if (runtime === 'wasm') {
    await using file = await open(image)
    const { bytesRead, buffer } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0)
    assertWasm(buffer.subarray(0, bytesRead), image)
  }
  return `artifact:${artifact.root}`
}

/** Found here, a wrong file costs nobody a transfer. The runtime checks the rest. */
function assertWasm(head: Uint8Array, what: string): void {
  if (head.length === HEAD_BYTES && WASM_MAGIC.equals(head.subarray(0, WASM_MAGIC.length))) return
  throw new ManyhandsError('IMAGE_INVALID', `${what} is not a WebAssembly module`, {
    hint: 'Compile the program for wasm32-wasi (preview 1) and give the .wasm file.',
  })
}
