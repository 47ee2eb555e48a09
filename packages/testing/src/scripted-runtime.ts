import {
  assertSupported,
  ManyhandsError,
  type Runtime,
  type RuntimeCapabilities,
  type RuntimeContext,
  type RuntimeFingerprint,
  type RuntimeHandle,
  type RuntimeSpec,
  type RuntimeTask,
  type WarmSandbox,
  type WarmSpec,
  type Workspace,
} from '@manyhands/core'
import { parseScript, type Script } from './scripted-script.ts'
import { ScriptedTask } from './scripted-task.ts'
import { ScriptedWarm } from './scripted-warm.ts'

export interface ScriptedOptions {
  /** The runtime's name in offers and specs, default `'scripted'`. */
  name?: string
  /** What a spec's task does; without it the script is read from the command's tokens. */
  script?: (spec: RuntimeSpec) => Script
}

/**
 * A runtime without any sandbox, for tests and benchmarks: in-process, deterministic, and as cheap as
 * a promise when a script asks for neither time nor files.
 *
 * The command's tokens after argv[0] are the script: `['run', '--for', '200ms', '--exit', '3']`; every
 * token is documented on {@link Script}. Any image exists but `'missing'` (IMAGE_NOT_FOUND) and
 * `'broken'` (IMAGE_INVALID).
 *
 * @example
 * const host = await createHost({ runtimes: [scripted()] })
 * await client.run({ runtime: 'scripted', image: 'any', command: ['run', '--write', 'a.txt=hello'], tasks: '1-9' })
 *
 * @example
 * scripted({ script: (spec) => (spec.attemptId.endsWith('.1') ? { exit: 1 } : { stdout: 'fine' }) })
 */
export function scripted(options: ScriptedOptions = {}): Runtime {
  return new ScriptedRuntime(options)
}

class ScriptedRuntime implements Runtime {
  readonly name: string
  readonly capabilities: RuntimeCapabilities = {
    image: 'named',
    pause: true,
    limit: true,
    exec: false,
    dial: false,
    egress: false,
    secrets: false,
    gpus: false,
    recover: false,
    liveOutputs: true,
    makesOutDir: true,
    restore: true,
    warm: true,
    isolation: 'none',
  }
  readonly #script: (spec: RuntimeSpec) => Script
  readonly #tasks = new Map<string, ScriptedTask>()
  /** The same attempt never runs twice. */
  readonly #byAttempt = new Map<string, ScriptedTask>()
  readonly #warm = new Set<ScriptedWarm>()
  #nextId = 1

  constructor(options: ScriptedOptions) {
    this.name = options.name ?? 'scripted'
    this.#script =
      options.script ?? ((spec) => parseScript(spec.command?.slice(1) ?? spec.args ?? []))
  }

  open(_context: RuntimeContext): Promise<void> {
    return Promise.resolve()
  }

  fingerprint(): Promise<RuntimeFingerprint> {
    return Promise.resolve({
      available: true,
      version: '1',
      attributes: { 'scripted.isolation': 'none' },
    })
  }

  async start(
    spec: RuntimeSpec,
    workspace: Workspace,
    options: { signal: AbortSignal },
  ): Promise<RuntimeTask> {
    options.signal.throwIfAborted()
    assertSupported(spec, this.capabilities, this.name)
    const known = this.#byAttempt.get(spec.attemptId)
    if (known !== undefined) return known
    if (spec.image === 'missing') {
      throw new ManyhandsError('IMAGE_NOT_FOUND', `image ${spec.image} is not on this host`)
    }
    if (spec.image === 'broken') {
      throw new ManyhandsError('IMAGE_INVALID', `image ${spec.image} is not a scripted image`)
    }
    const script = this.#script(spec)
    if (script.failStart) {
      throw new ManyhandsError('RUNTIME_FAILED', `${spec.attemptId}: the script fails to start`)
    }
    const id = `${spec.attemptId}/${this.#nextId++}`
    const task = new ScriptedTask(this.name, id, script, spec, workspace, () => {
      this.#tasks.delete(id)
      this.#byAttempt.delete(spec.attemptId)
    })
    this.#tasks.set(id, task)
    this.#byAttempt.set(spec.attemptId, task)
    return task
  }

  async startWarm(
    spec: WarmSpec,
    place: { dir: string; inDir: string | undefined },
    options: { signal: AbortSignal },
  ): Promise<WarmSandbox> {
    options.signal.throwIfAborted()
    assertSupported(spec, this.capabilities, this.name)
    const { image } = spec
    if (image === 'missing' || image === 'broken') {
      throw new ManyhandsError('IMAGE_NOT_FOUND', `image ${image} is not on this host`)
    }
    const sandbox = await ScriptedWarm.open(this.name, spec, place.dir, this.#script)
    this.#warm.add(sandbox)
    void sandbox.closed.then(() => this.#warm.delete(sandbox))
    try {
      if (spec.setup !== undefined) await sandbox.setUp(spec.setup, place.inDir, options.signal)
      return sandbox
    } catch (error) {
      await sandbox.close()
      throw error
    }
  }

  recover(handle: RuntimeHandle): Promise<RuntimeTask | undefined> {
    return Promise.resolve(this.#tasks.get(handle.id))
  }

  list(): Promise<RuntimeHandle[]> {
    return Promise.resolve([...this.#tasks.values(), ...this.#warm].map(({ handle }) => handle))
  }

  async close(): Promise<void> {
    for (const sandbox of [...this.#warm]) await sandbox.close()
    for (const task of [...this.#tasks.values()]) await task.remove()
  }
}
