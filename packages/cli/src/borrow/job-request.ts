import { mkdir, stat } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import {
  type Input,
  itemRange,
  type JobSpec,
  ManyhandsError,
  parseByteSize,
  parseDuration,
  parseTransferCap,
  resolveCheckpoint,
  validateJobSpec,
} from '@manyhands/core'
import type { CommandContext } from '../command-context.ts'
import { readJsonFile } from '../json-file.ts'
import { checkpointFromFlags } from './checkpoint-flags.ts'
import { taskLines } from './task-lines.ts'

/** Options of `manyhands run` as they are parsed. */
export interface RunFlags {
  image?: string
  tasks?: string
  resume?: string
  attach?: string
  ownerKey?: string
  in?: string[]
  out?: string
  host?: string[]
  bootstrap?: string[]
  mdns?: boolean
  stun?: string[]
  network?: string
  runtime?: string
  cpus?: number
  memory?: string
  disk?: string
  pids?: number
  timeout?: string
  retries?: number
  verify?: boolean
  accept?: string
  checkpoint?: string[]
  checkpointEvery?: string
  env?: Record<string, string>
  name?: string
  wait: string
  uploadLimit?: string
  downloadLimit?: string
  state?: string
}

/** How a job is followed, and where hosts are looked for. */
export interface FollowRequest {
  bootstrap: string[]
  mdns: boolean
  /** STUN servers; with them WebRTC is used. */
  stun?: string[] | undefined
  /** The network that is named. */
  network?: string | undefined
  waitMs: number
  /** Directory that outputs are saved to. */
  out: string | undefined
  state: string | undefined
  /** File that the owner key goes to. */
  ownerKey: string | undefined
  /** Caps of what is sent and received, bytes per second. */
  transfer: { upload?: number; download?: number }
}

/** What to run, and how to find who runs it. */
export interface JobRequest extends FollowRequest {
  spec: JobSpec
}

/**
 * Puts a job together from a file and options, and checks all that can be checked without a network.
 *
 * @throws SPEC_INVALID, RANGE_INVALID, INPUT_UNREADABLE, USAGE
 */
export async function jobRequest(
  file: string | undefined,
  flags: RunFlags,
  context: Pick<CommandContext, 'cwd' | 'rest' | 'stdin'>,
): Promise<JobRequest> {
  const { cwd, rest } = context
  const written = file === undefined ? {} : await readSpecFile(resolve(cwd, file))
  const follow = await followRequest(flags, context)
  const { args, ...spec } = { ...written, ...fromFlags(flags, written, cwd) }
  const merged = {
    ...spec,
    // A command on the command line replaces whichever of the two the file has.
    ...(rest !== undefined && rest.length > 0
      ? { command: rest }
      : args === undefined
        ? {}
        : { args }),
    hosts: { wait: follow.waitMs, ...spec.hosts },
    // Whoever saves outputs wants those that other tasks take, too.
    ...(follow.out === undefined ? {} : { fetchOutputs: true }),
  } as JobSpec
  if (merged.image === undefined) {
    throw new ManyhandsError('USAGE', 'run: give a SPEC.json or --image', {
      hint: 'See `manyhands run --help`.',
    })
  }
  merged.tasks ??= '1'
  if (merged.tasks === '-') merged.tasks = taskLines(context.stdin)
  validateJobSpec(merged)
  if (merged.checkpoint !== undefined) resolveCheckpoint(merged.checkpoint)
  if (typeof merged.tasks === 'string') itemRange(merged.tasks)
  await checkInputs(merged.inputs)
  return { ...follow, spec: merged }
}

/** @throws USAGE */
export async function followRequest(
  flags: RunFlags,
  { cwd }: Pick<CommandContext, 'cwd'>,
): Promise<FollowRequest> {
  const out = flags.out === undefined ? undefined : resolve(cwd, flags.out)
  if (out !== undefined) await makeOutputDirectory(out)
  return {
    bootstrap: flags.bootstrap ?? [],
    mdns: flags.mdns === true,
    stun: flags.stun,
    network: flags.network,
    waitMs: parseDuration(flags.wait, '--wait'),
    out,
    state: flags.state === undefined ? undefined : resolve(cwd, flags.state),
    ownerKey: flags.ownerKey === undefined ? undefined : resolve(cwd, flags.ownerKey),
    transfer: {
      ...(flags.uploadLimit === undefined
        ? {}
        : { upload: parseTransferCap(flags.uploadLimit, '--upload-limit') }),
      ...(flags.downloadLimit === undefined
        ? {}
        : { download: parseTransferCap(flags.downloadLimit, '--download-limit') }),
    },
  }
}

/** Fields of a spec file, its relative paths made absolute: they mean places beside the file. */
async function readSpecFile(path: string): Promise<Partial<JobSpec>> {
  const value = await readJsonFile(path, {
    unreadable: 'INPUT_UNREADABLE',
    invalid: 'SPEC_INVALID',
  })
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw new ManyhandsError('SPEC_INVALID', `${path}: expected an object with the fields of a job`)
  }
  const spec = value as Partial<JobSpec>
  const inputs = spec.inputs
  return {
    ...spec,
    ...(typeof spec.image === 'string'
      ? { image: imagePath(spec.image, spec.runtime, dirname(path)) }
      : {}),
    ...(inputs !== null && typeof inputs === 'object'
      ? {
          inputs: Object.fromEntries(
            Object.entries(inputs).map(([target, input]) => [
              target,
              typeof input === 'string' ? resolve(dirname(path), input) : input,
            ]),
          ),
        }
      : {}),
  }
}

function fromFlags(flags: RunFlags, written: Partial<JobSpec>, cwd: string): Partial<JobSpec> {
  const resources = {
    ...(flags.cpus === undefined ? {} : { cpus: flags.cpus }),
    ...(flags.memory === undefined ? {} : { memory: parseByteSize(flags.memory, '--memory') }),
    ...(flags.disk === undefined ? {} : { disk: parseByteSize(flags.disk, '--disk') }),
    ...(flags.pids === undefined ? {} : { pids: flags.pids }),
  }
  const runtime = flags.runtime ?? written.runtime
  return {
    ...(flags.image === undefined ? {} : { image: imagePath(flags.image, runtime, cwd) }),
    ...(flags.tasks === undefined ? {} : { tasks: flags.tasks }),
    ...(flags.in === undefined
      ? {}
      : {
          inputs: {
            ...written.inputs,
            ...Object.fromEntries(flags.in.map((text) => input(text, cwd))),
          },
        }),
    ...(flags.runtime === undefined ? {} : { runtime: flags.runtime }),
    ...(Object.keys(resources).length === 0
      ? {}
      : { resources: { ...written.resources, ...resources } }),
    ...(flags.timeout === undefined ? {} : { timeout: parseDuration(flags.timeout, '--timeout') }),
    ...(flags.retries === undefined ? {} : { retry: { attempts: flags.retries + 1 } }),
    ...(flags.verify ? { verify: written.verify ?? {} } : {}),
    ...(flags.accept === undefined ? {} : { accept: flags.accept as JobSpec['accept'] }),
    ...checkpointFromFlags(flags, written),
    ...(flags.env === undefined ? {} : { env: { ...written.env, ...flags.env } }),
    ...(flags.name === undefined ? {} : { name: flags.name }),
    ...(flags.host === undefined ? {} : { hosts: { ...written.hosts, only: flags.host } }),
  }
}

/** An image that is a file; a tag or digest stays what it is. */
const imagePath = (image: string, runtime: string | undefined, directory: string) =>
  runtime === 'wasm' || /^\.{0,2}\//.test(image) ? resolve(directory, image) : image

/** `PATH:/in/x`, or `PATH` for /in/<its name>. */
function input(text: string, cwd: string): [string, Input] {
  const at = text.lastIndexOf(':/in')
  if (at === 0) {
    throw new ManyhandsError('USAGE', `--in ${text}: expected PATH:/in/x`)
  }
  const path = resolve(cwd, at === -1 ? text : text.slice(0, at))
  return [at === -1 ? `/in/${basename(path)}` : text.slice(at + 1), path]
}

async function checkInputs(inputs: Record<string, Input> | undefined): Promise<void> {
  for (const [target, path] of Object.entries(inputs ?? {})) {
    if (typeof path !== 'string') continue
    try {
      await stat(path)
    } catch (error) {
      throw new ManyhandsError(
        'INPUT_UNREADABLE',
        `input ${target}: cannot read ${path}: ${(error as Error).message}`,
        { cause: error },
      )
    }
  }
}

async function makeOutputDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true })
  } catch (error) {
    throw new ManyhandsError('USAGE', `--out ${path}: ${(error as Error).message}`, {
      cause: error,
      hint: 'Name a directory that you may write to.',
    })
  }
}
