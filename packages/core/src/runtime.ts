/**
 * The runtime contract: how a host runs an attempt in a sandbox, whatever the sandbox is.
 * `@manyhands/testing/runtime-compliance` is the suite that every runtime passes.
 *
 * A runtime never decides policy: admission, leases, deadlines and retries are the host's. It creates
 * sandboxes, says truthfully how they ended, and leaves nothing behind.
 */
import type { GcRoom } from './gc-report.ts'
import type { GpuDevice } from './gpu.ts'
import type { RuntimeImages } from './images/runtime-images.ts'
import type { Resources } from './resources.ts'
import type { Usage } from './usage.ts'

/**
 * What a runtime can do, as data. A missing capability is answered UNSUPPORTED, never ignored. Read it
 * after `open()`: what an engine can do may be known only then.
 */
export interface RuntimeCapabilities {
  /** `'artifact'`: the image is a file that travels to the host; `'named'`: the host's engine has it. */
  image: 'artifact' | 'named'
  /** `true`: any moment; `'cooperative'`: when the task next calls its system; `false`: not at all. */
  pause: boolean | 'cooperative'
  /** Whether limits of a running attempt can be changed. */
  limit: boolean
  exec: boolean
  /** Whether declared ports inside the sandbox can be reached, its network being off. */
  dial: boolean
  /** Whether the network profile `egress` is kept: the named destinations and nothing else. */
  egress: boolean
  /** Whether secrets reach the task in files that are on no disk. */
  secrets: boolean
  /** Whether single GPUs can be given to an attempt. */
  gpus: boolean
  /** Whether a running attempt survives a restart of the host process and can be taken up again. */
  recover: boolean
  /** Whether files below /out are in the workspace's `outDir` while the task runs, not only at its end. */
  liveOutputs: boolean
  /**
   * Whether it makes `outDir`, and what is above it, itself and only when something is written: an attempt
   * that writes nothing then costs its host no directory. Absent: the host makes it before the start.
   */
  makesOutDir?: boolean
  /** Whether files that are in the workspace's `outDir` before the start are below the task's /out. */
  restore: boolean
  /** Whether tasks of a job can follow each other in one sandbox: `startWarm` is there. */
  warm: boolean
  /** What separates a task from the host's system: `'container'`, `'wasm'`, `'microvm'`, `'none'`. */
  isolation: string
}

/** What a runtime finds on this computer now. */
export interface RuntimeFingerprint {
  available: boolean
  /** Why it is not available and what to do, or a remark. */
  detail?: string
  /** Version of the engine behind, for people. */
  version?: string
  /** Facts for offers and `where` filters: `{ 'docker.isolation': 'runc' }`. Truthful or absent. */
  attributes: Record<string, string>
  /**
   * What really separates a task from the host's system now, for the offer: `runc`, `userns`,
   * `rootless`, `gvisor`, `kata`, `microvm`, `wasm`, or `unknown` where nothing tells. Never a wish.
   */
  isolation?: string
  /** GPUs that this runtime can give to attempts, one by one. */
  gpus?: GpuDevice[]
}

/** What a runtime is asked to run: everything is resolved, checked and bounded by the host. */
export interface RuntimeSpec {
  /** Unique on this host instance; becomes part of the sandbox's name and labels. */
  attemptId: string
  /** Labels that the sandbox carries where its kind has labels. */
  labels: { host: string; client: string; job: string; attempt: string }
  /** `'named'`: tag or digest; `'artifact'`: path of the verified file on this host. */
  image: string
  /** The whole argv; replaces the image's entry point. Exclusive with `args`. */
  command?: string[]
  /** Appended to the image's own entry point. */
  args?: string[]
  env: Record<string, string>
  resources: Resources
  /** GPU ids that the ledger gave to this attempt. */
  gpuIds: string[]
  /** A hard end that the sandbox itself enforces where it can, even when this process is gone, ms. */
  maxRuntimeMs: number
  networkProfile: 'none' | { egress: string[] }
  /** By name; each becomes the file /run/secrets/NAME, readable by the task alone, on no disk. */
  secrets?: Record<string, Uint8Array>
  /** TCP ports inside the sandbox that `dial` may reach. */
  ports?: number[]
}

/**
 * What all tasks of a warm sandbox have in common. Its name and labels are those of the attempt that it is
 * made for; `env` and `maxRuntimeMs` are its setup's.
 */
export interface WarmSpec extends Omit<RuntimeSpec, 'command' | 'args'> {
  setup?: string[]
}

/** One task of a warm sandbox. */
export interface WarmTaskSpec
  extends Pick<RuntimeSpec, 'attemptId' | 'command' | 'args' | 'env' | 'maxRuntimeMs'> {
  inDir: string | undefined
}

/**
 * Directories of one attempt on the host's disk. `inDir` is mounted read-only at /in, `outDir`
 * writable at /out. A workspace without inputs has `inDir` undefined.
 */
export interface Workspace {
  readonly inDir: string | undefined
  /** Not there yet for a runtime that makes it itself. */
  readonly outDir: string
}

/** How a sandbox ended, as its engine and our own record tell it; a code alone proves nothing. */
export interface RuntimeExit {
  exitCode: number | undefined
  signal: string | undefined
  /** The task (or a child) hit its memory limit. */
  oom: boolean
  /** `'exited'` by itself; `'stopped'` by our stop or kill; `'max-runtime'`; `'disk'`; `'engine-lost'`. */
  reason: 'exited' | 'stopped' | 'max-runtime' | 'disk' | 'engine-lost'
  detail?: string
  /**
   * Only of a task of a warm sandbox: others in the sandbox go on, and may have files of its /out open. They
   * stand still until the task is removed; what is collected has to be copied, never moved.
   */
  shared?: true
}

/** A chunk of what the task wrote. */
export interface RuntimeOutput {
  stream: 'stdout' | 'stderr'
  bytes: Uint8Array
  /** Bytes of this stream that were lost before these, because the reader was late. */
  gap?: number
}

/** One running sandbox. Every method may be called at any time, also after the end; none throws then. */
export interface RuntimeTask {
  /** Serialisable and versioned; `recover(handle)` takes the sandbox up again in another process. */
  readonly handle: RuntimeHandle
  /**
   * What really runs: `sha256:…` of the image. A runtime of named images has to say it, else no receipt
   * of a success can be made out where a job names the image by a tag.
   */
  readonly image?: string
  /** Settles when the sandbox has ended, once; does not reject for anything the task does. */
  wait(): Promise<RuntimeExit>
  /**
   * What the task writes, bounded: a reader that is late loses the middle, never the end, and never
   * blocks the task. One reader.
   */
  output(): AsyncIterable<RuntimeOutput>
  /** A sample of now. Rejects only when the engine does not answer. */
  stats(): Promise<Usage>
  pause?(): Promise<void>
  resume?(): Promise<void>
  limit?(change: Partial<Pick<Resources, 'cpus' | 'memoryBytes' | 'pids'>>): Promise<void>
  /** Asks the task to end (TERM), kills it after `graceMs`. Resolves when it has ended. */
  stop(options: { graceMs: number }): Promise<void>
  /** Ends it now, also when paused. Resolves when nothing of it runs any more. */
  kill(): Promise<void>
  /** Removes what is left of an ended sandbox. Repeating it is harmless. Kills it when it still runs. */
  remove(): Promise<void>
  exec?(argv: string[], options: { signal?: AbortSignal }): Promise<RuntimeExec>
  /** Connects to a declared port inside the sandbox. @throws UNSUPPORTED, CONNECT_FAILED */
  dial?(port: number, options: { signal?: AbortSignal }): Promise<RuntimeConnection>
}

/**
 * A sandbox in which one task runs after another: never two at once. Each is a `RuntimeTask` like any other,
 * with output, usage and limits of its own. When it has ended nothing of it runs any more; `remove()` then
 * empties /out and gives the sandbox back. The sandbox does not survive this process.
 */
export interface WarmSandbox {
  /** What the task that runs writes to /out. */
  readonly outDir: string
  /**
   * Whether another task may follow: no longer after an end with anything but exit code 0 by itself, after
   * processes that could not be ended, and after the sandbox's own end. Then there is `close()` alone.
   */
  readonly usable: boolean
  /**
   * Runs the next task, once the one before is removed.
   *
   * @throws COMMAND_INVALID, RUNTIME_FAILED, RUNTIME_UNAVAILABLE; the sandbox is unusable then
   */
  run(task: WarmTaskSpec, options: { signal: AbortSignal }): Promise<RuntimeTask>
  /** Ends and removes it. Repeating it is harmless. @throws when its engine does not answer; try again */
  close(): Promise<void>
}

export interface RuntimeHandle {
  v: 1
  runtime: string
  id: string
}

export interface RuntimeExec {
  exitCode: number
  stdout: Uint8Array
  stderr: Uint8Array
}

/** A connection to a port of a sandbox. Each direction ends by itself. */
export interface RuntimeConnection {
  /**
   * Ends when the other side has said all; throws CONNECT_FAILED when it was reset or killed instead.
   * Leaving the loop early resets the connection. One reader.
   */
  readable: AsyncIterable<Uint8Array>
  /** Resolves when more may be written. @throws CONNECT_FAILED */
  write(bytes: Uint8Array): Promise<void>
  /** Says that nothing more is written. What the other side still sends can be read. */
  close(): Promise<void>
}

/** What the host lends to a runtime when it starts: nothing ambient. */
export interface RuntimeContext {
  /** Id of this host instance; stable over restarts with the same state. */
  hostInstance: string
  /** A directory of the runtime's own. */
  stateDir: string
}

/** A kind of sandbox. Created by a factory: `docker()`, `wasm()`, `scripted()`. */
export interface Runtime {
  readonly name: string
  readonly capabilities: RuntimeCapabilities
  /** Present where images of a client's engine can be loaded; a runtime without takes those it has. */
  readonly images?: RuntimeImages
  /** What it keeps for later on this disk and can be told to let go of. */
  readonly rooms?: readonly GcRoom[]
  /** Called once by the host before anything else. */
  open(context: RuntimeContext): Promise<void>
  /** Looks at the computer; cheap enough to be called every few seconds. Never throws. */
  fingerprint(): Promise<RuntimeFingerprint>
  /**
   * Creates and starts a sandbox. On failure nothing is left behind.
   *
   * @throws IMAGE_NOT_FOUND, IMAGE_INVALID, COMMAND_INVALID, RUNTIME_UNAVAILABLE, RUNTIME_FAILED, UNSUPPORTED
   */
  start(
    spec: RuntimeSpec,
    workspace: Workspace,
    options: { signal: AbortSignal },
  ): Promise<RuntimeTask>
  /**
   * Creates a sandbox for one task after another and runs its setup to the end. On failure nothing is left
   * behind. Only where `capabilities.warm` says so.
   *
   * @param dir - a directory of the sandbox's own, empty, on the disk of `inDir`; its /out is in there
   * @param inDir - what the setup finds at /in
   * @throws as `start`, and SETUP_FAILED whose details have the `stderr` that it wrote last
   */
  startWarm?(
    spec: WarmSpec,
    place: { dir: string; inDir: string | undefined },
    options: { signal: AbortSignal },
  ): Promise<WarmSandbox>
  /** Takes up a sandbox that an earlier process started; undefined when it no longer exists. */
  recover(handle: RuntimeHandle): Promise<RuntimeTask | undefined>
  /** Handles of sandboxes of this host instance that exist in the engine, whoever started them. */
  list(): Promise<RuntimeHandle[]>
  /** Releases the runtime's own resources. Sandboxes that still run are killed unless recoverable. */
  close(): Promise<void>
}
