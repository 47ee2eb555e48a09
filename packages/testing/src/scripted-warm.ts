import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  emptyTree,
  finishSetup,
  isCleanExit,
  ManyhandsError,
  type RuntimeHandle,
  type RuntimeSpec,
  type RuntimeTask,
  type WarmSandbox,
  type WarmSpec,
  type WarmTaskSpec,
} from '@manyhands/core'
import type { Script } from './scripted-script.ts'
import { ScriptedTask } from './scripted-task.ts'

/** A warm sandbox that is none: it keeps what its scripts keep, and is otherwise as strict as a real one. */
export class ScriptedWarm implements WarmSandbox {
  readonly handle: RuntimeHandle
  readonly outDir: string
  readonly #runtime: string
  readonly #spec: WarmSpec
  readonly #script: (spec: RuntimeSpec) => Script
  readonly #closed = Promise.withResolvers<void>()
  #task: ScriptedTask | undefined
  #kept = ''
  #usable = true

  private constructor(
    runtime: string,
    spec: WarmSpec,
    dir: string,
    script: (spec: RuntimeSpec) => Script,
  ) {
    this.#runtime = runtime
    this.#spec = spec
    this.#script = script
    this.handle = { v: 1, runtime, id: `${spec.attemptId}/warm` }
    this.outDir = join(dir, 'out')
  }

  static async open(
    runtime: string,
    spec: WarmSpec,
    dir: string,
    script: (spec: RuntimeSpec) => Script,
  ): Promise<ScriptedWarm> {
    const warm = new ScriptedWarm(runtime, spec, dir, script)
    await mkdir(warm.outDir, { recursive: true })
    return warm
  }

  get usable(): boolean {
    return this.#usable
  }

  /** Settles when it is closed. */
  get closed(): Promise<void> {
    return this.#closed.promise
  }

  /** @throws SETUP_FAILED */
  async setUp(command: string[], inDir: string | undefined, signal: AbortSignal): Promise<void> {
    const { attemptId, env, maxRuntimeMs } = this.#spec
    const task = await this.#start({ attemptId, command, env, maxRuntimeMs, inDir })
    await finishSetup(task, signal)
  }

  async run(task: WarmTaskSpec, { signal }: { signal: AbortSignal }): Promise<RuntimeTask> {
    signal.throwIfAborted()
    if (this.#task !== undefined || !this.#usable) {
      throw new ManyhandsError('RUNTIME_FAILED', 'the warm sandbox takes no task now')
    }
    return this.#start(task)
  }

  async close(): Promise<void> {
    this.#usable = false
    await this.#task?.kill()
    this.#closed.resolve()
  }

  async #start({ inDir, ...own }: WarmTaskSpec): Promise<ScriptedTask> {
    const spec: RuntimeSpec = { ...this.#spec, ...own }
    const script = this.#script(spec)
    if (script.failStart) {
      this.#usable = false
      throw new ManyhandsError('RUNTIME_FAILED', `${spec.attemptId}: the script fails to start`)
    }
    this.#kept = script.keep ?? this.#kept
    const played = script.kept ? { ...script, stdout: this.#kept } : script
    const workspace = { inDir, outDir: this.outDir }
    const task = new ScriptedTask(this.#runtime, this.handle.id, played, spec, workspace, () => {})
    this.#task = task
    void task.wait().then((exit) => {
      if (!isCleanExit(exit)) this.#usable = false
    })
    const remove = task.remove.bind(task)
    let removal: Promise<void> | undefined
    task.remove = () => {
      removal ??= remove().then(async () => {
        if (!this.#usable) return this.close()
        await emptyTree(this.outDir)
        this.#task = undefined
      })
      return removal
    }
    return task
  }
}
