import { z } from 'zod'
import type { ByteSize } from './byte-size.ts'
import type { Duration } from './duration.ts'
import { ManyhandsError } from './errors.ts'
import { LIMITS } from './limits.ts'
import type { Offer } from './offer.ts'
import type { ResourceRequest } from './resources.ts'
import type { TaskResult } from './task-result.ts'

/** A reference to an artifact that the client already knows: `sha256:…` of its manifest. */
export interface ArtifactRef {
  artifact: string
}

/** What is put at a path below /in: a path on the client's disk, bytes, or a known artifact. */
export type Input = string | Uint8Array | ArtifactRef | { text: string }

/** Numbers that this client measured of one host, for `rank`. */
export interface HostHistory {
  completed: number
  failed: number
  lost: number
  evicted: number
  /** Tasks per second while busy, of this job's kind; undefined before the first result. */
  throughput: number | undefined
  running: number
}

/** What one task may say differently from its job. */
export interface TaskSpec {
  /** Unique within the job; default: the item itself when it is a number or short text, else its index. */
  key?: string
  command?: string[]
  args?: string[]
  env?: Record<string, string>
  inputs?: Record<string, Input>
  outputs?: string[]
}

/** Which hosts a job may use. */
export interface HostSelection {
  /** Only these peer ids. */
  only?: string[]
  /** Never these peer ids. */
  deny?: string[]
  where?: (offer: Offer) => boolean
  /** Higher is better. */
  rank?: (offer: Offer, history: HostHistory) => number
  /** Hosts used at once. */
  max?: number
  /** Attempts at one host at once. */
  perHost?: number
  /** How long `run` waits while no host fits at all; default 30 s. */
  wait?: Duration
}

/** A job as the caller writes it. Unknown fields are refused, so that a typing error is found. */
export interface JobSpec<Item = unknown> {
  name?: string
  /** Idempotency: submitting the same key with an equal spec returns the same job. */
  key?: string
  runtime?: string
  image: string
  command?: string[]
  args?: string[]
  env?: Record<string, string>
  inputs?: Record<string, Input>
  outputs?: string[]
  tasks: string | Iterable<Item> | AsyncIterable<Item>
  task?: (item: Item, index: number) => TaskSpec
  resources?: ResourceRequest
  timeout?: Duration
  retry?: { attempts?: number }
  hosts?: HostSelection
  networkProfile?: 'none' | { egress: string[] }
  validate?: (result: TaskResult) => void | Promise<void>
  unit?: string
  /**
   * Whether outputs that are complete reach the client while the task still runs, where the host's
   * runtime shows them; default true. With `false` they are collected at the end alone.
   */
  streamOutputs?: boolean
  /**
   * By name; each becomes the file /run/secrets/NAME of the task, on no disk. Never journaled, logged or
   * put into argv or environment; the host that runs the task can read them all the same.
   */
  secrets?: Record<string, string | Uint8Array>
}

const duration = z.union([z.number(), z.string()]) as z.ZodType<Duration>
const byteSize = z.union([z.number(), z.string()]) as z.ZodType<ByteSize>
const text = (max: number) => z.string().max(max)
const func = z.custom<(...args: never[]) => unknown>((value) => typeof value === 'function', {
  error: 'expected a function',
})

const bounded = (values: string[] | undefined) =>
  values === undefined || values.reduce((sum, value) => sum + value.length, 0) <= LIMITS.argvBytes

/** Names become file names: nothing that could leave the directory. */
export const secretNameSchema = z
  .string()
  .regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/, 'a secret name: letters, digits, _, . and -')

const secrets = z
  .record(secretNameSchema, z.union([z.string(), z.instanceof(Uint8Array)]))
  .refine(
    (value) => Object.keys(value).length <= LIMITS.secretsPerJob,
    `at most ${LIMITS.secretsPerJob} secrets`,
  )
  .refine(
    (value) =>
      Object.values(value).reduce((sum, secret) => sum + Buffer.byteLength(secret), 0) <=
      LIMITS.secretBytes,
    `at most ${LIMITS.secretBytes} bytes together`,
  )

const argv = z
  .array(z.string().refine((value) => !value.includes('\0'), 'must not contain a NUL byte'))
  .min(1)
  .max(LIMITS.argvEntries)
  .refine(bounded, `must be at most ${LIMITS.argvBytes} bytes together`)
const args = z
  .array(z.string().refine((value) => !value.includes('\0'), 'must not contain a NUL byte'))
  .max(LIMITS.argvEntries)
  .refine(bounded, `must be at most ${LIMITS.argvBytes} bytes together`)

export const envSchema = z
  .record(
    z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,255}$/, 'a variable name: letters, digits, _'),
    z.string().refine((value) => !value.includes('\0'), 'must not contain a NUL byte'),
  )
  .refine(
    (env) => Object.keys(env).length <= LIMITS.envEntries,
    `at most ${LIMITS.envEntries} entries`,
  )
  .refine(
    (env) => bounded(Object.entries(env).flat()),
    `at most ${LIMITS.argvBytes} bytes together`,
  )

/** A safe absolute POSIX path at or below `root`: no empty, `.` or `..` segments, no NUL. */
export const pathBelow = (root: '/in' | '/out') =>
  text(LIMITS.pathBytes).refine(
    (path) =>
      (path === root || path.startsWith(`${root}/`)) &&
      !path.includes('\0') &&
      !path.includes('\\') &&
      path
        .split('/')
        .slice(1)
        .every((part) => part !== '' && part !== '.' && part !== '..'),
    `must be ${root}/… without empty, . or .. segments`,
  )

const inputs = z
  .record(
    pathBelow('/in'),
    z.union([
      text(4096),
      z.instanceof(Uint8Array),
      z.strictObject({ artifact: z.string().regex(/^sha256:[0-9a-f]{64}$/) }),
      z.strictObject({ text: z.string() }),
    ]),
  )
  .refine(
    (value) => Object.keys(value).length <= LIMITS.inputsPerTask,
    `at most ${LIMITS.inputsPerTask} inputs`,
  )
  .refine((value) => {
    const paths = Object.keys(value)
    return !paths.some((a) => paths.some((b) => b.startsWith(`${a}/`)))
  }, 'one input lies inside another; give them separate paths')

const outputs = z.array(pathBelow('/out')).min(1).max(LIMITS.outputsPerTask)

const egress = z.union([
  z.literal('none'),
  z.strictObject({ egress: z.array(text(255)).min(1).max(256) }),
])

const taskSchema = z
  .strictObject({
    key: z.string().min(1).max(200).optional(),
    command: argv.optional(),
    args: args.optional(),
    env: envSchema.optional(),
    inputs: inputs.optional(),
    outputs: outputs.optional(),
  })
  .refine((task) => !(task.command && task.args), 'command and args exclude each other')

const specSchema = z
  .strictObject({
    name: text(200).optional(),
    key: z.string().min(1).max(200).optional(),
    runtime: z
      .string()
      .regex(/^[a-z][a-z0-9-]{0,31}$/, 'a runtime name such as docker or wasm')
      .optional(),
    image: z.string().min(1).max(4096),
    command: argv.optional(),
    args: args.optional(),
    env: envSchema.optional(),
    inputs: inputs.optional(),
    outputs: outputs.optional(),
    tasks: z.custom<string | Iterable<unknown> | AsyncIterable<unknown>>(
      (value) =>
        typeof value === 'string' ||
        (value !== null &&
          typeof value === 'object' &&
          (Symbol.iterator in value || Symbol.asyncIterator in value)),
      { error: "expected a range such as '1-250', an array or another (async) iterable" },
    ),
    task: func.optional(),
    resources: z
      .strictObject({
        cpus: z.number().positive().max(4096).optional(),
        memory: byteSize.optional(),
        disk: byteSize.optional(),
        gpus: z
          .union([
            z.number().int().nonnegative().max(64),
            z.strictObject({
              count: z.number().int().positive().max(64),
              model: text(128).optional(),
              memory: byteSize.optional(),
            }),
          ])
          .optional(),
        pids: z.number().int().positive().max(1_000_000).optional(),
      })
      .optional(),
    timeout: duration.optional(),
    retry: z.strictObject({ attempts: z.number().int().min(0).max(100).optional() }).optional(),
    hosts: z
      .strictObject({
        only: z.array(text(128)).max(10_000).optional(),
        deny: z.array(text(128)).max(10_000).optional(),
        where: func.optional(),
        rank: func.optional(),
        max: z.number().int().positive().optional(),
        perHost: z.number().int().positive().optional(),
        wait: duration.optional(),
      })
      .optional(),
    networkProfile: egress.optional(),
    validate: func.optional(),
    unit: text(40).optional(),
    streamOutputs: z.boolean().optional(),
    secrets: secrets.optional(),
  })
  .refine((spec) => !(spec.command && spec.args), 'command and args exclude each other')

/**
 * Checks a job spec and returns it unchanged in meaning.
 *
 * @throws SPEC_INVALID naming the field, what was expected and what came
 */
export function validateJobSpec<Item>(spec: JobSpec<Item>): JobSpec<Item> {
  return check(specSchema, spec, 'spec') as JobSpec<Item>
}

/** Checks what a `task` function returned for one item. @throws SPEC_INVALID */
export function validateTaskSpec(spec: TaskSpec, index: number): TaskSpec {
  return check(taskSchema, spec, `task(${index})`) as TaskSpec
}

function check(schema: z.ZodType, value: unknown, subject: string): unknown {
  const result = schema.safeParse(value, { reportInput: true })
  if (result.success) return result.data
  const lines = result.error.issues.slice(0, 5).map((issue) => describe(issue, subject))
  throw new ManyhandsError('SPEC_INVALID', lines.join('; '), {
    details: { fields: result.error.issues.map((issue) => issue.path.join('.')) },
  })
}

function describe(issue: z.core.$ZodIssue, subject: string): string {
  const field = issue.path.length === 0 ? subject : `${subject}.${issue.path.map(String).join('.')}`
  if (issue.code === 'unrecognized_keys') {
    return `${field}: unknown field ${issue.keys.map((key) => `'${key}'`).join(', ')}`
  }
  // What is wrong with a secret is said without its value.
  if (issue.path[0] === 'secrets') return `${field}: ${issue.message}`
  return `${field}: ${issue.message}, got ${show(issue.input)}`
}

function show(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (typeof value === 'function') return 'a function'
  let shown: string | undefined
  try {
    shown = JSON.stringify(value)
  } catch {
    // A big integer or a cycle inside; the value's own toString is the caller's and may be no function.
    shown = undefined
  }
  shown ??= typeof value === 'object' ? 'an object' : String(value)
  return shown.length > 120 ? `${shown.slice(0, 117)}…` : shown
}
