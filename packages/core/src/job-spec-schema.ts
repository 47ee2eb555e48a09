import { z } from 'zod'
import type { ByteSize } from './byte-size.ts'
import { checkpointConflict, checkpointSchema } from './checkpoint-spec.ts'
import type { Duration } from './duration.ts'
import { LIMITS } from './limits.ts'
import { pathBelow } from './path-below.ts'
import { acceptSchema, verifySchema } from './verify-spec.ts'

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

const word = z.string().refine((value) => !value.includes('\0'), 'must not contain a NUL byte')
const words = (least: number) =>
  z
    .array(word)
    .min(least)
    .max(LIMITS.argvEntries)
    .refine(bounded, `must be at most ${LIMITS.argvBytes} bytes together`)
const argv = words(1)
const args = words(0)

export const envSchema = z
  .record(
    z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,255}$/, 'a variable name: letters, digits, _'),
    word,
  )
  .refine(
    (env) => Object.keys(env).length <= LIMITS.envEntries,
    `at most ${LIMITS.envEntries} entries`,
  )
  .refine(
    (env) => bounded(Object.entries(env).flat()),
    `at most ${LIMITS.argvBytes} bytes together`,
  )

export const taskKeySchema = z.string().min(1).max(200)

const inputs = z
  .record(
    pathBelow('/in'),
    z.union([
      text(4096),
      z.instanceof(Uint8Array),
      z.instanceof(Blob),
      z.strictObject({ artifact: z.string().regex(/^sha256:[0-9a-f]{64}$/) }),
      z.strictObject({ text: z.string() }),
      z.strictObject({ task: taskKeySchema, path: pathBelow('/out') }),
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

export const taskSpecSchema = z
  .strictObject({
    key: taskKeySchema.optional(),
    command: argv.optional(),
    args: args.optional(),
    env: envSchema.optional(),
    inputs: inputs.optional(),
    outputs: outputs.optional(),
    needs: z.array(taskKeySchema).max(LIMITS.needsPerTask).optional(),
  })
  .refine((task) => !(task.command && task.args), 'command and args exclude each other')

export const jobSpecSchema = z
  .strictObject({
    name: text(200).optional(),
    key: z.string().min(1).max(200).optional(),
    runtime: z
      .string()
      .regex(/^[a-z][a-z0-9-]{0,31}$/, 'a runtime name such as docker or wasm')
      .optional(),
    image: z.union([z.string().min(1).max(4096), z.instanceof(Uint8Array), z.instanceof(Blob)]),
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
    verify: verifySchema.optional(),
    accept: acceptSchema.optional(),
    warm: z
      .strictObject({
        setup: argv.optional(),
        tasksPerSandbox: z.number().int().positive().max(LIMITS.tasksPerSandbox).optional(),
      })
      .optional(),
    checkpoint: checkpointSchema.optional(),
    unit: text(40).optional(),
    priority: z.number().int().min(-100).max(100).optional(),
    split: z.strictObject({ by: z.enum(['range', 'items']) }).optional(),
    speculate: z
      .union([z.boolean(), z.strictObject({ after: z.number().min(1).max(1000) })])
      .optional(),
    fetchOutputs: z.boolean().optional(),
    streamOutputs: z.boolean().optional(),
    secrets: secrets.optional(),
  })
  .refine((spec) => !(spec.command && spec.args), 'command and args exclude each other')
  .refine(
    (spec) => spec.split?.by !== 'range' || typeof spec.tasks === 'string',
    "split by range needs tasks as a text such as '1-1000'; split others by items",
  )
  .refine(
    (spec) => spec.split?.by !== 'items' || spec.inputs?.['/in/items.ndjson'] === undefined,
    'split by items puts the items at /in/items.ndjson, where the job has an input',
  )
  .refine(
    (spec) =>
      !(spec.split && (spec.verify || spec.accept === 'job-end' || spec.accept === 'quorum')),
    'split and verify exclude each other: what two hosts take of a range is not the same',
  )
  .refine(
    (spec) => !(spec.split && spec.task),
    'split and task exclude each other; use {{item.from}} and {{item.to}}',
  )
  .superRefine((spec, context) => {
    const message = checkpointConflict(spec)
    if (message !== undefined) context.addIssue({ code: 'custom', message, path: ['checkpoint'] })
  })
