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
import { PAGE_BYTES } from './memory-import.ts'
import { type CompiledModule, ModuleCache } from './module-cache.ts'
import { programOf } from './program-arguments.ts'
import { WarmThread } from './warm-thread.ts'
import { WasmTask } from './wasm-task.ts'
import { WorkerPool } from './worker-pool.ts'
import type { WorkerMemory } from './worker-protocol.ts'

/** All that 32-bit addresses reach. */
const ADDRESSABLE_PAGES = 65_536

export interface WasmOptions {
  /** Name under which jobs ask for this runtime. Default `'wasm'`. */
  name?: string
}

/**
 * The embedded runtime: runs WASI preview 1 command modules, each attempt in a thread of its own,
 * with nothing to install. `spec.image` is the path of a `.wasm` file.
 *
 * - A module sees its arguments, its environment, /in (read-only) and /out, a clock of 1 ms and
 *   random bytes; there is no network and no other import. What it writes below /out is kept in
 *   memory, up to `resources.diskBytes`, and written to the host's disk when it has ended; a killed
 *   module leaves nothing there.
 * - Its memory ends at `resources.memoryBytes`. A failure after that was reached is told as `oom`;
 *   a module that needs more from the start ends at once, as `oom` too.
 * - A trap ends with exit code 134 and is described on stderr. A module cannot receive signals:
 *   `stop` waits for its own end and then kills it.
 * - `pause` holds it at its next system call.
 * - A warm sandbox is a thread that is kept, with the compiled module; each task has an instance and a
 *   memory of its own. /tmp, in memory as well, stays from its setup on.
 * - One thread is all it gets: `resources.cpus` below 1 do not slow it down.
 *
 * For modules of strangers the host should run in a process with nothing to steal: a thread's wall
 * is V8, not the kernel.
 *
 * @example
 * await using host = await createHost({ runtimes: [wasm()] })
 */
export function wasm(options: WasmOptions = {}): Runtime {
  return new WasmRuntime(options.name ?? 'wasm')
}

class WasmRuntime implements Runtime {
  readonly name: string
  readonly capabilities: RuntimeCapabilities = {
    image: 'artifact',
    pause: 'cooperative',
    limit: false,
    exec: false,
    dial: false,
    egress: false,
    secrets: false,
    gpus: false,
    recover: false,
    liveOutputs: false,
    restore: true,
    warm: true,
    isolation: 'wasm',
  }
  readonly #modules = new ModuleCache()
  readonly #workers = new WorkerPool()
  readonly #running = new Map<string, WasmTask>()
  readonly #warm = new Set<WarmThread>()
  #closed = false

  constructor(name: string) {
    this.name = name
  }

  async open(_context: RuntimeContext): Promise<void> {}

  async fingerprint(): Promise<RuntimeFingerprint> {
    return {
      available: !this.#closed,
      version: `V8 ${process.versions.v8}`,
      attributes: { [`${this.name}.isolation`]: 'thread', [`${this.name}.wasi`]: 'preview1' },
    }
  }

  async start(
    spec: RuntimeSpec,
    workspace: Workspace,
    { signal }: { signal: AbortSignal },
  ): Promise<RuntimeTask> {
    signal.throwIfAborted()
    assertSupported(spec, this.capabilities, this.name)
    const { argv, environment } = programOf(spec, spec.image)
    const compiled = await this.#modules.get(spec.image)
    signal.throwIfAborted()
    if (this.#closed) throw new ManyhandsError('CLOSED', `the runtime ${this.name} was closed`)
    if (this.#running.has(spec.attemptId)) {
      throw new ManyhandsError('RUNTIME_FAILED', `attempt ${spec.attemptId} already runs here`)
    }
    const handle: RuntimeHandle = { v: 1, runtime: this.name, id: spec.attemptId }
    const task = new WasmTask(
      handle,
      this.#workers.take(),
      {
        module: compiled.module,
        warmTmpBytes: undefined,
        memory: memoryOf(compiled, spec),
        argv,
        environment,
        inDir: workspace.inDir,
        outDir: workspace.outDir,
        diskBytes: spec.resources.diskBytes,
      },
      spec.maxRuntimeMs,
    )
    this.#running.set(spec.attemptId, task)
    void task.gone.then(() => this.#running.delete(spec.attemptId))
    // Once this one has ended there is CPU for it; tasks of a job come one after the other.
    void task.wait().then(() => this.#closed || this.#workers.prepare())
    return task
  }

  async startWarm(
    spec: WarmSpec,
    place: { dir: string; inDir: string | undefined },
    { signal }: { signal: AbortSignal },
  ): Promise<WarmSandbox> {
    signal.throwIfAborted()
    assertSupported(spec, this.capabilities, this.name)
    const compiled = await this.#modules.get(spec.image)
    signal.throwIfAborted()
    if (this.#closed) throw new ManyhandsError('CLOSED', `the runtime ${this.name} was closed`)
    const handle: RuntimeHandle = { v: 1, runtime: this.name, id: spec.attemptId }
    const sandbox = await WarmThread.open({
      handle,
      worker: this.#workers.take(),
      module: compiled.module,
      memory: memoryOf(compiled, spec),
      spec,
      dir: place.dir,
    })
    this.#warm.add(sandbox)
    void sandbox.gone.then(() => this.#warm.delete(sandbox))
    try {
      if (spec.setup !== undefined) await sandbox.setUp(spec.setup, place.inDir, signal)
      return sandbox
    } catch (error) {
      await sandbox.close()
      throw error
    }
  }

  async recover(): Promise<undefined> {}

  async list(): Promise<RuntimeHandle[]> {
    return [...this.#running.values(), ...this.#warm].map(({ handle }) => handle)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#modules.clear()
    await Promise.all([...this.#running.values()].map((task) => task.kill()))
    await Promise.all([...this.#warm].map((sandbox) => sandbox.close()))
    await this.#workers.close()
  }
}

function memoryOf(
  { memory }: CompiledModule,
  spec: Pick<RuntimeSpec, 'resources'>,
): WorkerMemory | undefined {
  if (memory === undefined) return undefined
  const { initialPages, growth } = memory
  const cap = Math.floor(spec.resources.memoryBytes / PAGE_BYTES)
  const own = memory.maximumPages ?? ADDRESSABLE_PAGES
  return { initialPages, maximumPages: Math.min(cap, own), capped: cap < own, growth }
}
