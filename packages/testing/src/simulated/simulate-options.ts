import {
  type ByteRate,
  type ByteSize,
  type Duration,
  ManyhandsError,
  parseByteRate,
  parseByteSize,
  parseDuration,
} from '@manyhands/core'
import { z } from 'zod'
import type { Script } from '../scripted-script.ts'
import type { LinkConditions } from './simulated-link.ts'

/** The network of one peer, or of all. */
export interface SimulatedLinkOptions {
  /** How long a message takes from one peer to another, one way; default 20 ms. */
  latency?: Duration
  /** By how much longer it may take, evenly; default 0. Messages stay in order. */
  jitter?: Duration
  /** What a peer can send to all others together, and take from each; default `'100MiB/s'`. */
  bandwidth?: ByteRate
  /** Share of messages that are lost, noticed, and sent again; 0 to 0.9, default 0. */
  loss?: number
}

/** A task as a simulated host sees it. */
export interface SimulatedTask {
  key: string
  job: string
  /** 1 for the first time that it is sent out. */
  epoch: number
  /** Whether it begins with a checkpoint: with what it left when it asked to be continued. */
  restored: boolean
  runtime: string
  image: string
  command: string[] | undefined
  args: string[] | undefined
  env: Record<string, string>
}

/**
 * What hosts suffer, by chance: each of the durations is what passes on average until it happens to a
 * host that is up, and then until it is over.
 */
export interface SimulatedChurn {
  /** It dies; what it ran is lost, what it had ready is not. */
  crashEvery?: Duration
  /** It stands still and says nothing. */
  freezeEvery?: Duration
  /** It is cut off from everybody, and goes on. */
  cutOffEvery?: Duration
  /** Until that is over; default 2 min. */
  backAfter?: Duration
}

export interface SimulateOptions extends SimulatedLinkOptions {
  /** The same seed, the same run; default 1. */
  seed?: number
  /** Share of requests and of news of attempts that arrive twice, the second time later; default 0. */
  duplicates?: number
  /**
   * How long a task takes at a host of speed 1, or what it does. Default: what the command says to the
   * scripted runtime, `['run', '--for', '2m', '--exit', '1']`; of that a simulated host knows `--for`,
   * `--hang`, `--exit`, `--stdout`, `--stderr`, `--env`, `--write`, `--oom`, `--fail-start` and
   * `--engine-lost`.
   */
  work?: (task: SimulatedTask) => Duration | Script
  churn?: SimulatedChurn
}

/** How a simulated host differs from the others. All times are of the network's clock, from its start. */
export interface SimulatedHostOptions {
  /** How fast it is; a task takes its time divided by this. Default 1. */
  speed?: number
  /** What it lends; default 4 processors, 8 GiB of memory, 100 GiB of disk. */
  share?: { cpus?: number; memory?: ByteSize; disk?: ByteSize }
  labels?: Record<string, string>
  /** Its own network, where that differs. */
  link?: SimulatedLinkOptions
  /** The IP address at which others see it; default: one of a /24 of its own. */
  address?: string
  joinsAfter?: Duration
  /** It takes no more work, and goes when it has done what it has. */
  leavesAfter?: Duration
  freezesAfter?: Duration
  thawsAfter?: Duration
  cutOffAfter?: Duration
  backAfter?: Duration
  crashesAfter?: Duration
  restartsAfter?: Duration
  /** Whether a crash takes its disk, too: what it had ready is lost as well. Default false. */
  losesDisk?: boolean
  /** Share of tasks that fail there at once, whatever they are; 1 is a black hole. */
  failsTasks?: number
  /** Share of offers that it refuses although it has room. */
  refuses?: number
  /** Share of results that it makes up: they come at once, and differ from one another. */
  cheats?: number
  /** So many attempts are honest before the first that may not be; default 0. */
  cheatsAfter?: number
  /** It makes up the same results for the same tasks as the others of its ring. */
  ring?: string
}

const parsed = <Value>(parse: (value: Value) => unknown) =>
  z.custom<Value>().superRefine((value, issue) => {
    try {
      parse(value)
    } catch (error) {
      issue.addIssue((error as Error).message.replace(/^[^:]*: /, '').replace(/, got .*$/s, ''))
    }
  })
const settings = <Shape extends z.ZodRawShape>(shape: Shape) =>
  z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys'
        ? `unknown setting; expected one of ${Object.keys(shape).join(', ')}`
        : undefined,
  })

const duration = parsed<Duration>((value) => parseDuration(value)).optional()
const size = parsed<ByteSize>((value) => parseByteSize(value)).optional()
const share = z.number().min(0).max(1).optional()
const link = {
  latency: duration,
  jitter: duration,
  bandwidth: parsed<ByteRate>((value) => {
    if (parseByteRate(value) > 0) return
    throw new ManyhandsError('CONFIG_INVALID', 'bandwidth: expected more than nothing')
  }).optional(),
  loss: z.number().min(0).max(0.9).optional(),
}

const simulateSchema = settings({
  ...link,
  seed: z.number().int().nonnegative().optional(),
  duplicates: share,
  work: z
    .custom<SimulateOptions['work']>((value) => typeof value === 'function', {
      error: 'expected a function',
    })
    .optional(),
  churn: settings({
    crashEvery: duration,
    freezeEvery: duration,
    cutOffEvery: duration,
    backAfter: duration,
  }).optional(),
})

const hostSchema = settings({
  speed: z.number().positive().optional(),
  share: settings({ cpus: z.number().positive().optional(), memory: size, disk: size }).optional(),
  labels: z.record(z.string(), z.string()).optional(),
  link: settings(link).optional(),
  address: z.union([z.ipv4(), z.ipv6()]).optional(),
  joinsAfter: duration,
  leavesAfter: duration,
  freezesAfter: duration,
  thawsAfter: duration,
  cutOffAfter: duration,
  backAfter: duration,
  crashesAfter: duration,
  restartsAfter: duration,
  losesDisk: z.boolean().optional(),
  failsTasks: share,
  refuses: share,
  cheats: share,
  cheatsAfter: z.number().int().nonnegative().optional(),
  ring: z.string().min(1).max(100).optional(),
})

/** @throws CONFIG_INVALID naming the setting, what was expected and what came */
export function checkSimulateOptions(options: SimulateOptions): void {
  check(simulateSchema, options, 'simulate')
}

/** @throws as {@link checkSimulateOptions} */
export function checkSimulatedHost(options: SimulatedHostOptions, where = 'host'): void {
  check(hostSchema, options, where)
}

function check(schema: z.ZodType, value: unknown, where: string): void {
  const result = schema.safeParse(value)
  if (result.success) return
  const [issue] = result.error.issues
  const field = [where, ...issue!.path].join('.')
  throw new ManyhandsError('CONFIG_INVALID', `${field}: ${issue!.message}`, { details: { field } })
}

const DEFAULT_LINK = { latency: '20ms', jitter: 0, bandwidth: '100MiB/s', loss: 0 }

/** What holds for a peer: its own word, then that of all. */
export function linkConditions(
  own: SimulatedLinkOptions = {},
  all: SimulatedLinkOptions = {},
): LinkConditions {
  return {
    latencyMs: parseDuration(own.latency ?? all.latency ?? DEFAULT_LINK.latency),
    jitterMs: parseDuration(own.jitter ?? all.jitter ?? DEFAULT_LINK.jitter),
    bytesPerMs: parseByteRate(own.bandwidth ?? all.bandwidth ?? DEFAULT_LINK.bandwidth) / 1000,
    loss: own.loss ?? all.loss ?? DEFAULT_LINK.loss,
  }
}
