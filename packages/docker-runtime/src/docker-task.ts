import {
  ManyhandsError,
  type Resources,
  type RuntimeConnection,
  type RuntimeExec,
  type RuntimeExit,
  type RuntimeHandle,
  type RuntimeOutput,
  type RuntimeTask,
  type Usage,
} from '@manyhands/core'
import type Docker from 'dockerode'
import type { AttemptDirectory } from './attempt-directory.ts'
import type { AttemptSockets } from './attempt-sockets.ts'
import { readOomKills } from './cgroup.ts'
import { removeContainer } from './container-creation.ts'
import { ContainerOutput } from './container-output.ts'
import { cpuLimit } from './cpu-limit.ts'
import { DiskMeter } from './disk/disk-meter.ts'
import type { Engine } from './engine.ts'
import { engineError, engineMessage, engineStatus } from './engine-error.ts'
import { endedByRestart } from './engine-restart.ts'
import { execIn } from './exec.ts'
import { exitFacts, type OwnEnd } from './exit-facts.ts'
import { watchExit } from './exit-watch.ts'
import { kernelToldOfOom } from './kernel-log.ts'
import { RunClock } from './run-clock.ts'
import { UsageMeter } from './usage-meter.ts'

const TIMER_MAX_MS = 2 ** 31 - 1
/** The container's first process ends it at the limit; we do only if that has not come about. */
const BACKSTOP_MS = 2000
/** How long output may trail behind the end; the engine closes the stream itself much earlier. */
const OUTPUT_TRAIL_MS = 2000

export interface DockerTaskOptions {
  engine: Engine
  container: Docker.Container
  /** `sha256:…` of its image, as the engine says. */
  image: string
  outDir: string
  /** Mean use of its GPUs; undefined for a task without. */
  gpuUse: (() => Promise<number | undefined>) | undefined
  /** The container's `/.manyhands` here. */
  directory: AttemptDirectory | undefined
  /** Its ways out and in; undefined when it was granted none. */
  sockets: AttemptSockets | undefined
  diskBytes: number
  /** Whether `outDir` is a volume of its own. */
  isVolume: boolean
  /** The cores to bind it to when its share becomes this, undefined for no change; and the way back. */
  changeCores: (cpus: number) => { list: string | undefined; undo(): void }
  /** Frees what bounds the attempt's disk, when nothing of it runs any more. */
  releaseDisk: () => Promise<void>
  /** What is left of the longest run time, ms. */
  maxRuntimeMs: number
  paused: boolean
  /** How long the container has run already, ms; 0 for a new one. */
  ranMs: number
  /** The attach stream; undefined when the container has ended. */
  attached: NodeJS.ReadableStream | undefined
  /** Whether the container was started by another process, which an engine restart may have hit. */
  recovered: boolean
  /** Whether the engine can change a container's limits. */
  canLimit: boolean
  engineLostMs: number
  onRemoved: () => void
}

/** One container, watched from its start (or its recovery) to its removal. */
export class DockerTask implements RuntimeTask {
  readonly handle: RuntimeHandle
  readonly image: string
  readonly #options: DockerTaskOptions
  readonly #container: Docker.Container
  readonly #engine: Engine
  readonly #output: ContainerOutput
  readonly #disk: DiskMeter
  readonly #usage: UsageMeter
  readonly #done = Promise.withResolvers<RuntimeExit>()
  readonly #released = Promise.withResolvers<void>()
  readonly #watch = new AbortController()
  /** Requests of ours that may have ended the container; its end is told after they are answered. */
  readonly #ending = new Set<Promise<unknown>>()
  readonly #clock: RunClock
  #retry: NodeJS.Timeout | undefined
  #ownEnd: OwnEnd
  #oom = false
  #ended = false
  #removal: Promise<void> | undefined

  constructor(options: DockerTaskOptions) {
    this.#options = options
    this.#engine = options.engine
    this.#container = options.container
    this.image = options.image
    this.handle = { v: 1, runtime: 'docker', id: options.container.id }
    this.#disk = new DiskMeter(options.outDir, options.diskBytes, {
      isVolume: options.isVolume,
      file: options.directory?.endFile,
    })
    this.#clock = new RunClock(options.maxRuntimeMs + BACKSTOP_MS, () =>
      this.#endQuietly('max-runtime'),
    )
    if (!options.paused) this.#clock.resume()
    this.#usage = new UsageMeter(
      options.engine,
      options.container,
      this.#disk,
      options.ranMs,
      () => options.sockets?.traffic() ?? { in: 0, out: 0 },
      options.gpuUse,
    )
    this.#output = new ContainerOutput(options.attached, () => this.#lookForOom())
    // A watch that was called off belongs to a closed runtime; its container goes on.
    void this.#follow().catch(() => {})
  }

  wait(): Promise<RuntimeExit> {
    return this.#done.promise
  }

  output(): AsyncIterable<RuntimeOutput> {
    return this.#output.read()
  }

  stats(): Promise<Usage> {
    return this.#usage.sample()
  }

  async pause(): Promise<void> {
    await this.#act('pause', () => this.#container.pause({ abortSignal: this.#engine.deadline() }))
    this.#clock.pause()
  }

  async resume(): Promise<void> {
    await this.#act('resume', () =>
      this.#container.unpause({ abortSignal: this.#engine.deadline() }),
    )
    if (!this.#ended) this.#clock.resume()
  }

  async limit(change: Partial<Pick<Resources, 'cpus' | 'memoryBytes' | 'pids'>>): Promise<void> {
    if (this.#ended) return
    if (!this.#options.canLimit) {
      throw new ManyhandsError(
        'UNSUPPORTED',
        'docker: this engine cannot change the limits of a container',
      )
    }
    const cores = change.cpus === undefined ? undefined : this.#options.changeCores(change.cpus)
    const update = {
      ...(change.cpus === undefined ? {} : cpuLimit(change.cpus)),
      ...(cores?.list === undefined ? {} : { CpusetCpus: cores.list }),
      ...(change.memoryBytes === undefined
        ? {}
        : { Memory: change.memoryBytes, MemorySwap: change.memoryBytes }),
      ...(change.pids === undefined ? {} : { PidsLimit: change.pids }),
    }
    await this.#act('limit', () =>
      this.#container.update({ ...update, abortSignal: this.#engine.deadline() }),
    ).catch((error: unknown) => {
      cores?.undo()
      throw error
    })
  }

  async stop(options: { graceMs: number }): Promise<void> {
    await this.#end('stopped', 'SIGTERM')
    const grace = Promise.withResolvers<void>()
    const timer = setTimeout(grace.resolve, Math.min(options.graceMs, TIMER_MAX_MS))
    timer.unref()
    await Promise.race([grace.promise, this.#done.promise, this.#released.promise])
    clearTimeout(timer)
    await this.kill()
  }

  async kill(): Promise<void> {
    await this.#end('stopped', 'SIGKILL')
    await Promise.race([this.#done.promise, this.#released.promise])
  }

  remove(): Promise<void> {
    this.#removal ??= this.#remove().catch((error: unknown) => {
      // The next call tries again.
      this.#removal = undefined
      throw engineError(error, `container ${this.#container.id.slice(0, 12)}`)
    })
    return this.#removal
  }

  async exec(argv: string[], options: { signal?: AbortSignal }): Promise<RuntimeExec> {
    return execIn(this.#engine, this.#container, argv, options)
  }

  async dial(port: number, options: { signal?: AbortSignal }): Promise<RuntimeConnection> {
    options.signal?.throwIfAborted()
    const { sockets } = this.#options
    if (sockets === undefined) {
      throw new ManyhandsError('UNSUPPORTED', `port ${port} is not declared: no port is`)
    }
    return sockets.dial(port, options)
  }

  /** Ends it because a program in it has run for too long. */
  overdue(): void {
    this.#endQuietly('max-runtime')
  }

  /** How many of its processes the kernel killed for want of memory; 0 where that cannot be seen. */
  get oomKills(): number {
    return readOomKills(this.#container.id) ?? 0
  }

  /** Lets go of the container without touching it: for a runtime that closes. */
  release(): void {
    this.#released.resolve()
    this.#watch.abort(new ManyhandsError('CLOSED', 'the docker runtime was closed'))
    this.#disk.stop()
    this.#stopTimers()
    this.#output.close()
    this.#closeSockets()
  }

  async #follow(): Promise<void> {
    this.#disk.watch(() => this.#endQuietly('disk'))
    const watched = await watchExit(this.#engine, this.#container, {
      lostAfterMs: this.#options.engineLostMs,
      signal: this.#watch.signal,
    })
    this.#ended = true
    this.#disk.stop()
    this.#stopTimers()
    this.#usage.end()
    this.#closeSockets()
    const [restarted] = await Promise.all([
      endedByRestart(this.#engine, this.#container, watched, this.#options.recovered),
      this.#disk.measureAtEnd(),
      Promise.allSettled(this.#ending),
      this.#output.rest(),
    ])
    if (this.#disk.over) this.#ownEnd ??= 'disk'
    const trail = setTimeout(() => this.#output.close(), OUTPUT_TRAIL_MS)
    trail.unref()
    const exit = exitFacts(watched, this.#ownEnd, restarted, this.#options.directory?.record())
    // A failure of the task's own may be a kill that nobody owns up to: the kernel's log is the last witness.
    const unexplained = exit.exitCode !== 0 && exit.reason === 'exited'
    const oom = exit.oom || this.#oom || (unexplained && this.#kernelToldOfOom())
    this.#done.resolve({ ...exit, oom })
  }

  /**
   * The engine's own flag is set by an event that may come after the container's end, and is then
   * missing. The kernel's counter is right, and there until the engine has cleaned up.
   */
  #lookForOom(): void {
    if (!this.#engine.local || this.#ended) return
    this.#oom ||= (readOomKills(this.#container.id) ?? 0) > 0
  }

  #kernelToldOfOom(): boolean {
    return this.#engine.local && kernelToldOfOom(this.#container.id)
  }

  /** Sends a signal and keeps the reason, unless the container had ended before it came. */
  async #end(reason: Exclude<OwnEnd, undefined>, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    if (this.#ended) return
    const request = this.#container.kill({ signal, abortSignal: this.#engine.deadline() }).then(
      () => {
        this.#ownEnd ??= reason
      },
      (error: unknown) => {
        if ([404, 409].includes(engineStatus(error) ?? 0)) return
        // gVisor says so of a paused container that the signal has just ended.
        if (engineStatus(error) !== 500 || !/ is zombie/.test(engineMessage(error))) {
          throw this.#error('kill', error)
        }
        this.#ownEnd ??= reason
      },
    )
    this.#ending.add(request)
    try {
      await request
    } finally {
      this.#ending.delete(request)
    }
  }

  #endQuietly(reason: 'disk' | 'max-runtime'): void {
    this.#end(reason, 'SIGKILL').catch(() => {
      // The engine is away. Its watcher knows; the timer tries again until one of them is over.
      this.#retry = setTimeout(() => this.#endQuietly(reason), 1000)
      this.#retry.unref()
    })
  }

  #closeSockets(): void {
    void this.#options.sockets?.close().catch(() => {})
  }

  #stopTimers(): void {
    this.#clock.pause()
    clearTimeout(this.#retry)
  }

  /** A change to a running container; it has no meaning, and does nothing, after the end. */
  async #act(what: string, call: () => Promise<unknown>): Promise<void> {
    if (this.#ended) return
    try {
      await call()
    } catch (error) {
      if (this.#ended || [404, 409].includes(engineStatus(error) ?? 0)) return
      throw this.#error(what, error)
    }
  }

  async #remove(): Promise<void> {
    await this.kill()
    // Side by side: what has ended holds nothing mounted.
    await Promise.all([removeContainer(this.#engine, this.#container), this.#options.releaseDisk()])
    this.#output.close()
    await this.#options.sockets?.close()
    await this.#options.directory?.remove()
    this.#options.onRemoved()
  }

  #error(what: string, error: unknown): ManyhandsError {
    return engineError(error, `${what} of container ${this.#container.id.slice(0, 12)}`)
  }
}
