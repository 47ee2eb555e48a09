import type { CheckpointSpec } from './checkpoint-spec.ts'
import type { Duration } from './duration.ts'
import type { Offer } from './offer.ts'
import type { ResourceRequest } from './resources.ts'
import type { TaskResult } from './task-result.ts'
import type { AcceptSpec, VerifySpec } from './verify-spec.ts'

/** A reference to an artifact that the client already knows: `sha256:…` of its manifest. */
export interface ArtifactRef {
  artifact: string
}

/**
 * What another task of the job wrote: the file or directory at a path, `/out` for all of it. The task that
 * takes it needs the other one, and gets it from that one's host: it does not pass through the client.
 */
export interface TaskOutputRef {
  task: string
  path: string
}

/**
 * What is put at a path below /in: a path on the client's disk, bytes (also as a Blob or a File), a known
 * artifact, a task's output.
 */
export type Input = string | Uint8Array | Blob | ArtifactRef | TaskOutputRef | { text: string }

/** Numbers that this client measured of one host, those of earlier processes included, for `rank`. */
export interface HostHistory {
  /** Attempts, the older ones counting less. */
  completed: number
  failed: number
  lost: number
  evicted: number
  /** Tasks per second while busy, of this job's kind; undefined before the first result. */
  throughput: number | undefined
  running: number
  /** The share of its attempts that end well, from 0 to 1; half for a host that is not known. */
  reliability: number
  /** How long a task of the job's image takes there, ms. */
  usualMs?: number
  /** How fast inputs come to it. */
  bytesPerSecond?: number
  /** How long a word to it and back takes, ms: the least of the last measurements of this process. */
  rttMs?: number
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
  /**
   * Keys of tasks of the job that have to complete first. Of an array, or of a range with at most 250,000
   * items, any task may be named; of what is read bit by bit only earlier ones.
   */
  needs?: string[]
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
  /** docker: a local tag or digest. wasm: the path of a `.wasm` file, or its bytes. */
  image: string | Uint8Array | Blob
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
  /**
   * Looks at a result before it counts. What it throws is the host's failure: the task goes elsewhere, and
   * uses up no retry.
   */
  validate?: (result: TaskResult) => void | Promise<void>
  /**
   * Results are checked: a task runs a second time at a host that is independent of the first one, and both
   * have to be the same. All results of a host are checked until ten in a row agreed, then fewer. What a host
   * gave that was found wrong falls, and runs again elsewhere. Costs about a tenth more work. Excludes `split`.
   */
  verify?: VerifySpec
  /**
   * When results are handed out; default `'job-end'` where results are checked, else `'provisional'`.
   * `'job-end'` and `'quorum'` without `verify` stand for `verify: {}`.
   */
  accept?: AcceptSpec
  /**
   * Tasks one after another in the same sandbox, one sandbox for each slot of a host. `setup` is an argv
   * that runs once in each, before its first task, with that task's inputs; what it leaves in /tmp, and the
   * processes that it leaves running, are there for all of them. Every task finds /out empty and its own
   * /in; its processes end with it. A sandbox ends after `tasksPerSandbox` tasks (default 1,000), with the
   * job, and when a task ends with anything but code 0.
   */
  warm?: { setup?: string[]; tasksPerSandbox?: number }
  /**
   * What leaves the host while a task runs, and is restored where its next attempt begins; that one finds
   * `MANYHANDS_CHECKPOINT=1` in its environment. Excludes `split` and `warm`. With `verify` a task goes on only
   * at the host that made its checkpoint; anywhere else it begins anew.
   */
  checkpoint?: CheckpointSpec
  unit?: string
  /**
   * From -100 to 100, default 0. Of a client's own jobs those with a higher one go first; those with the
   * same share what there is. What runs is not stopped for it.
   */
  priority?: number
  /**
   * `{ by: 'range' }`: `tasks` is a text such as `'1-10000'`, and is cut into tasks of several numbers as
   * hosts take them: their size follows the speed that each host shows, and what a slow one is late with
   * others take over. The item of a task is `{ from, to, step, count }` and its key `FROM-TO`; the program
   * does all of it: `['render', '-s', '{{item.from}}', '-e', '{{item.to}}']`. One that would rather leave the
   * rest to others prints `manyhands: rest N`, the first number that it has not done, on a line of its own near
   * the end of its output, and ends with 0. Counts are numbers of the range. Excludes `task`.
   *
   * `{ by: 'items' }`: the same for any source that ends, up to a million items, which `submit` reads whole.
   * A task finds its items as lines of JSON in `/in/items.ndjson`; its own item is `{ from, to, step, count,
   * items }`, places in the source from 0, and counts are items.
   *
   * A part that fails of itself is halved until what it fails for is alone: that fails, and the rest is done.
   */
  split?: { by: 'range' } | { by: 'items' }
  /**
   * Whether a task that is late runs a second time elsewhere, once nothing else waits: the first result
   * counts, and the other attempt is ended at once. Late is what takes `after` times as long as usual,
   * default 2, or whose host was not heard of lately.
   */
  speculate?: boolean | { after: number }
  /**
   * Outputs that other tasks take stay at their hosts until the job is over, and come to the client only
   * when they are read. With `true` they come as all others do.
   */
  fetchOutputs?: boolean
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
