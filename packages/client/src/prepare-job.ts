import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import {
  type AttemptSpec,
  encodeDocument,
  fillTemplate,
  type Input,
  itemRange,
  type JobSpec,
  ManyhandsError,
  parseDuration,
  resolveGpuNeed,
  resolveResources,
  validateJobSpec,
  validateTaskSpec,
  type WireInput,
} from '@manyhands/core'
import type { ImageDesk, JobImage } from './images/image-desk.ts'
import type { JobInputs } from './job-inputs.ts'
import type { TaskOverrides } from './task.ts'

/** A job spec, checked and resolved: inputs are artifacts, sizes are bytes, paths are gone. */
export interface PreparedJob<Item = unknown> {
  name: string
  unit: string
  spec: JobSpec<Item>
  base: AttemptSpec
  specHash: string
  /** Times a task's own failure may end an attempt. */
  failures: number
  /** How long the job waits while no host fits; undefined: for ever. */
  waitMs: number | undefined
  /** Known beforehand for ranges and arrays. */
  total: number | undefined
  items(): AsyncIterator<Item> | Iterator<Item>
  /** What the task of an item is. @throws SPEC_INVALID, INPUT_UNREADABLE, PATH_UNSAFE */
  taskOf(
    item: Item,
    index: number,
  ): Promise<{ key: string; explicit: boolean; overrides: TaskOverrides }>
  /** Roots of the artifacts that hosts may fetch for this job. */
  roots: Set<string>
  /** The image, when it is one of this client's engine. */
  image: JobImage | undefined
}

const DEFAULT_OUTPUTS = ['/out/**']
const DEFAULT_ATTEMPTS = 3
const WASM_MAGIC = Buffer.from([0x00, 0x61, 0x73, 0x6d])

/**
 * Checks a spec and takes its inputs as artifacts.
 *
 * @throws SPEC_INVALID, RANGE_INVALID, INPUT_UNREADABLE, PATH_UNSAFE, IMAGE_INVALID
 */
export async function prepareJob<Item>(
  unchecked: JobSpec<Item>,
  inputs: JobInputs,
  images: ImageDesk,
  options: { signal?: AbortSignal } = {},
): Promise<PreparedJob<Item>> {
  const spec = validateJobSpec(unchecked)
  const source = sourceOf(spec)
  const resources = resolveResources(spec.resources)
  const gpu = resolveGpuNeed(spec.resources)
  const timeoutMs = spec.timeout === undefined ? 0 : parseDuration(spec.timeout, 'spec.timeout')
  const waitMs =
    spec.hosts?.wait === undefined ? undefined : parseDuration(spec.hosts.wait, 'spec.hosts.wait')
  const runtime = spec.runtime ?? 'docker'
  const travels = runtime === 'wasm' || /^\.{0,2}\//.test(spec.image)
  const offered = travels ? undefined : await images.resolve(spec.image, runtime, options.signal)
  const image = travels
    ? await imageFile(spec.image, runtime, inputs, options.signal)
    : (offered?.id ?? spec.image)
  const base: AttemptSpec = {
    runtime,
    image,
    ...(offered === undefined
      ? {}
      : { offeredImage: { name: offered.name, bytes: offered.bytes } }),
    command: spec.command,
    args: spec.args,
    env: spec.env ?? {},
    inputs: await inputsOf(spec.inputs, inputs, options.signal),
    outputs: spec.outputs ?? DEFAULT_OUTPUTS,
    resources,
    timeoutMs,
    networkProfile: spec.networkProfile ?? 'none',
    ...(gpu === undefined ? {} : { gpu }),
    ...(spec.secrets === undefined ? {} : { secrets: Object.keys(spec.secrets) }),
    ...(spec.streamOutputs === false ? { streamOutputs: false } : {}),
  }
  const described = typeof spec.tasks === 'string' || Array.isArray(spec.tasks) ? spec.tasks : null
  return {
    name: spec.name ?? spec.image.split('/').at(-1)!.slice(0, 200),
    unit: spec.unit ?? 'task',
    spec,
    base,
    specHash: createHash('sha256')
      // What an image is called, and about what it takes, are no part of what it is.
      .update(encodeDocument({ ...base, offeredImage: undefined }))
      .update(JSON.stringify(described))
      .digest('hex'),
    failures: Math.max(1, spec.retry?.attempts ?? DEFAULT_ATTEMPTS),
    waitMs,
    total: source.total,
    items: source.items,
    taskOf: (item, index) => taskOf(spec, base, item, index, inputs),
    roots: inputs.roots,
    image: offered,
  }
}

function sourceOf<Item>(spec: JobSpec<Item>): {
  total: number | undefined
  items(): AsyncIterator<Item> | Iterator<Item>
} {
  const { tasks } = spec
  if (typeof tasks === 'string') {
    const range = itemRange(tasks)
    return { total: range.size, items: () => range[Symbol.iterator]() as Iterator<Item> }
  }
  if (Symbol.asyncIterator in tasks) {
    return { total: undefined, items: () => tasks[Symbol.asyncIterator]() }
  }
  return {
    total: Array.isArray(tasks) ? tasks.length : undefined,
    items: () => tasks[Symbol.iterator](),
  }
}

/** An image that is a file of this computer. */
async function imageFile(
  image: string,
  runtime: string,
  inputs: JobInputs,
  signal: AbortSignal | undefined,
): Promise<string> {
  const artifact = await inputs.path(image, signal)
  if (artifact.manifest.kind !== 'file') {
    throw new ManyhandsError('IMAGE_INVALID', `image ${image} is a directory, expected one file`)
  }
  if (runtime === 'wasm') await checkWasm(image)
  return `artifact:${artifact.root}`
}

/** Found here, a wrong file costs nobody a transfer. The runtime checks the rest. */
async function checkWasm(path: string): Promise<void> {
  await using file = await open(path)
  const { bytesRead, buffer } = await file.read(Buffer.alloc(8), 0, 8, 0)
  const head = buffer.subarray(0, bytesRead)
  if (head.length < 8 || !head.subarray(0, 4).equals(WASM_MAGIC)) {
    throw new ManyhandsError('IMAGE_INVALID', `${path} is not a WebAssembly module`, {
      hint: 'Compile the program for wasm32-wasi (preview 1) and name the .wasm file.',
    })
  }
}

async function inputsOf(
  named: Record<string, Input> | undefined,
  inputs: JobInputs,
  signal?: AbortSignal,
): Promise<WireInput[]> {
  const resolved: WireInput[] = []
  for (const [path, input] of Object.entries(named ?? {})) {
    const { root, size } = await inputs.take(input, path, signal)
    resolved.push({ path, root, bytes: size })
  }
  return resolved.sort((a, b) => (a.path < b.path ? -1 : 1))
}

async function taskOf<Item>(
  spec: JobSpec<Item>,
  base: AttemptSpec,
  item: Item,
  index: number,
  inputs: JobInputs,
): Promise<{ key: string; explicit: boolean; overrides: TaskOverrides }> {
  const own = spec.task === undefined ? {} : validateTaskSpec(spec.task(item, index), index)
  const fill = (text: string) => fillTemplate(text, item, index)
  const command = own.command ?? (own.args === undefined ? filled(base.command, fill) : undefined)
  const args = own.args ?? (own.command === undefined ? filled(base.args, fill) : undefined)
  const overrides: TaskOverrides = {}
  if (command !== undefined && command !== base.command) overrides.command = command
  if (args !== undefined && args !== base.args) overrides.args = args
  const env = filledRecord({ ...base.env, ...own.env }, fill)
  if (
    own.env !== undefined ||
    Object.entries(env).some(([key, value]) => base.env[key] !== value)
  ) {
    overrides.env = env
  }
  if (own.inputs !== undefined) {
    const named = await inputsOf(own.inputs, inputs)
    const replaced = new Set(named.map((input) => input.path))
    overrides.inputs = [...base.inputs.filter((input) => !replaced.has(input.path)), ...named]
  }
  if (own.outputs !== undefined) overrides.outputs = own.outputs
  return { key: own.key ?? keyOf(item, index), explicit: own.key !== undefined, overrides }
}

function filled(argv: string[] | undefined, fill: (text: string) => string): string[] | undefined {
  // The same array when there is nothing to fill: then it need not travel with every task.
  return argv?.some((text) => text.includes('{{')) ? argv.map(fill) : argv
}

function filledRecord(
  record: Record<string, string>,
  fill: (text: string) => string,
): Record<string, string> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, fill(value)]))
}

function keyOf(item: unknown, index: number): string {
  if (typeof item === 'number' || typeof item === 'bigint') return String(item)
  if (typeof item === 'string' && item.length > 0 && item.length <= 100) return item
  return String(index)
}
