import { setTimeout as delay } from 'node:timers/promises'
import { getSystemErrorMap } from 'node:util'
import {
  emptyTree,
  finishSetup,
  isCleanExit,
  ManyhandsError,
  NO_USAGE,
  type RuntimeExit,
  type RuntimeSpec,
  type RuntimeTask,
  type Usage,
  type WarmSandbox,
  type WarmSpec,
  type WarmTaskSpec,
} from '@manyhands/core'
import { type ConnectionGrant, connectionGrant } from '../attempt-sockets.ts'
import { readThreads } from '../cgroup.ts'
import { programArgv, programEnvironment } from '../container-template.ts'
import { DiskMeter } from '../disk/disk-meter.ts'
import type { DockerTask } from '../docker-task.ts'
import { engineError } from '../engine-error.ts'
import type { EngineImage } from '../image.ts'
import { checkRuntimeSpec } from '../spec-check.ts'
import { ContainerFreeze } from './container-freeze.ts'
import type { MirroredInputs } from './mirrored-inputs.ts'
import { endedOverQuota } from './program-exit.ts'
import type { ProgramLink } from './program-link.ts'
import { WarmTask } from './warm-task.ts'

/** How long the kernel may take to forget a process that has ended. */
const FORGOTTEN_MS = 50
/** How long a kill that failed waits before it is tried again. */
const KILL_AGAIN_MS = 500

export interface WarmContainerOptions {
  spec: WarmSpec
  image: EngineImage
  container: DockerTask
  link: ProgramLink
  inputs: MirroredInputs
  outDir: string
  /** Counts into the disk of a task. */
  endFile: string
  isVolume: boolean
  /** Opens /out to the sandbox's user again, whatever a task made of it. */
  openOut(): Promise<void>
}

/**
 * A container whose first process starts one program after another. Between two of them nothing moves in it:
 * all processes have ended, which is seen in the kernel's count, or it is frozen.
 */
export class WarmContainer implements WarmSandbox {
  readonly #options: WarmContainerOptions
  readonly #grant: ConnectionGrant
  readonly #freeze: ContainerFreeze
  readonly #closed = Promise.withResolvers<void>()
  #counted: Usage = NO_USAGE
  #task: WarmTask | undefined
  #ended: RuntimeExit | undefined
  #usable = true
  #busy = false

  constructor(options: WarmContainerOptions) {
    this.#options = options
    this.#freeze = new ContainerFreeze(options.container)
    this.#grant = connectionGrant({ ...options.spec })
    // Once for all tasks: what each of them hung on to these would stay as long as the sandbox does.
    void options.container.wait().then((exit) => {
      this.#usable = false
      this.#ended = exit
      this.#task?.lost(exit)
    })
    void options.link.gone.then(() => {
      // The first process has ended, or ends, and its container with it.
      this.#usable = false
    })
  }

  get outDir(): string {
    return this.#options.outDir
  }

  /** The connection to its first process. */
  get link(): ProgramLink {
    return this.#options.link
  }

  get usable(): boolean {
    return this.#usable
  }

  /** Settles when nothing of it is left. */
  get closed(): Promise<void> {
    return this.#closed.promise
  }

  /** @throws UNSUPPORTED where it cannot be seen whether anything in it moves */
  assertSeen(): void {
    if (readThreads(this.#options.container.handle.id) !== undefined) return
    throw new ManyhandsError(
      'UNSUPPORTED',
      'docker: no sandbox is kept warm where its control group cannot be seen',
    )
  }

  /** @throws SETUP_FAILED, COMMAND_INVALID, UNSUPPORTED */
  async setUp(argv: string[], signal: AbortSignal): Promise<void> {
    const { spec } = this.#options
    const task = await this.#start({ ...spec, command: argv }, { isSetup: true, signal })
    await finishSetup(task, signal)
    if (!this.#usable) {
      throw new ManyhandsError('UNSUPPORTED', 'what the setup left running cannot be held here')
    }
  }

  async run(task: WarmTaskSpec, { signal }: { signal: AbortSignal }): Promise<RuntimeTask> {
    signal.throwIfAborted()
    if (this.#busy || !this.#usable) {
      const why = this.#busy ? 'runs a task' : 'takes no more tasks'
      throw new ManyhandsError('RUNTIME_FAILED', `the warm sandbox ${why}`)
    }
    this.#busy = true
    try {
      await this.#options.inputs.show(task.inDir)
      return await this.#start({ ...this.#options.spec, ...task }, { isSetup: false, signal })
    } catch (error) {
      this.#usable = false
      throw error
    }
  }

  async close(): Promise<void> {
    this.#usable = false
    await this.#options.container.remove()
    await this.#options.link.close()
    this.#closed.resolve()
  }

  async #start(
    spec: RuntimeSpec,
    { isSetup, signal }: { isSetup: boolean; signal: AbortSignal },
  ): Promise<WarmTask> {
    checkRuntimeSpec(spec)
    const { image, container, link } = this.#options
    const order = {
      argv: programArgv(spec, image),
      environment: programEnvironment(spec, this.#grant),
      maxRuntimeMs: spec.maxRuntimeMs,
      isSetup,
    }
    signal.throwIfAborted()
    const task: WarmTask = new WarmTask({
      container,
      before: this.#counted,
      oomKills: container.oomKills,
      maxRuntimeMs: spec.maxRuntimeMs,
      signal: (number) => link.signal(number),
      settle: (exit, left) => this.#settle(exit, left),
      ended: (usage) => {
        // What a setup uses is its first task's.
        if (!isSetup) this.#counted = usage
      },
      remove: () => this.#clear(task),
    })
    this.#task = task
    if (this.#ended !== undefined) task.lost(this.#ended)
    link.order(order, (news) => task.hear(news))
    const error = await task.begun
    if (error === undefined) return task
    const why = getSystemErrorMap().get(-error)?.[1] ?? `error ${error}`
    throw new ManyhandsError('COMMAND_INVALID', `the command cannot be started: ${why}`)
  }

  /** The program has ended: nothing moves here any more, and what it wrote is measured. */
  async #settle(
    exit: RuntimeExit,
    left: { residents: boolean; held: boolean },
  ): Promise<RuntimeExit> {
    const { outDir, spec, isVolume, endFile } = this.#options
    const still =
      isCleanExit(exit) &&
      !left.held &&
      ((!left.residents && (await this.#isEmpty())) || (await this.#freeze.freeze()))
    if (!still) {
      // What may be wrong with it is not looked for: it ends, and then nothing moves there either.
      this.#usable = false
      const end = await this.#kill()
      if (end.reason === 'engine-lost') return end
    }
    const { diskBytes } = spec.resources
    const disk = new DiskMeter(outDir, diskBytes, { isVolume, file: endFile })
    await disk.measureAtEnd()
    if (disk.over) {
      this.#usable = false
      return endedOverQuota(exit)
    }
    return this.#freeze.frozen ? { ...exit, shared: true } : exit
  }

  /** Ends the whole container, however often its engine has to be told. */
  async #kill(): Promise<RuntimeExit> {
    const { container, link } = this.#options
    link.hurry()
    const end = container.wait()
    for (let ended = false; !ended; ) {
      await container.kill().catch(() => {})
      const again = delay(KILL_AGAIN_MS, false, { ref: false })
      ended = await Promise.race([end.then(() => true), again])
    }
    return end
  }

  /** Whether the first process is alone, by the kernel's word, not by anybody's in there. */
  async #isEmpty(): Promise<boolean> {
    const { id } = this.#options.container.handle
    const until = performance.now() + FORGOTTEN_MS
    for (;;) {
      const threads = readThreads(id)
      if (threads === 1) return true
      if (threads === undefined || performance.now() > until) return false
      await delay(1, undefined, { ref: false })
    }
  }

  async #clear(task: WarmTask): Promise<void> {
    await task.kill()
    if (!this.#usable) return this.close()
    try {
      await emptyTree(this.#options.outDir)
      await this.#options.openOut()
      await this.#freeze.thaw()
      this.#task = undefined
      this.#busy = false
    } catch (cause) {
      this.#usable = false
      throw engineError(cause, 'a warm sandbox')
    }
  }
}
