import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import {
  DEFAULT_RESOURCES,
  ManyhandsError,
  type Resources,
  type Runtime,
  type RuntimeContext,
  type RuntimeSpec,
  type RuntimeTask,
  type WarmSandbox,
  type Workspace,
} from '@manyhands/core'
import type { ComplianceProgram } from './programs.ts'

export interface StartOptions {
  resources?: Partial<Resources>
  env?: Record<string, string>
  /** Texts to stage below /in. */
  inputs?: Record<string, string>
  maxRuntimeMs?: number
  secrets?: Record<string, Uint8Array>
  ports?: number[]
  networkProfile?: RuntimeSpec['networkProfile']
  gpuIds?: string[]
  /** Default: one that no other start of this fixture has. */
  attemptId?: string
  signal?: AbortSignal
  /** Files that are below /out before it begins. */
  restored?: Record<string, string>
}

/** One case's own runtime, host instance and directories. */
export class ComplianceFixture {
  readonly runtime: Runtime
  readonly context: RuntimeContext
  readonly #create: () => Runtime | Promise<Runtime>
  readonly #root: string
  readonly #tasks: RuntimeTask[] = []
  readonly #warm: WarmSandbox[] = []
  readonly #others: Runtime[] = []
  #attempts = 0

  private constructor(
    create: () => Runtime | Promise<Runtime>,
    runtime: Runtime,
    root: string,
    context: RuntimeContext,
  ) {
    this.#create = create
    this.runtime = runtime
    this.#root = root
    this.context = context
  }

  static async open(create: () => Runtime | Promise<Runtime>): Promise<ComplianceFixture> {
    const root = await mkdtemp(join(tmpdir(), 'manyhands-compliance-'))
    const stateDir = join(root, 'state')
    await mkdir(stateDir)
    const context = { hostInstance: `compliance-${randomUUID()}`, stateDir }
    const runtime = await create()
    await runtime.open(context)
    return new ComplianceFixture(create, runtime, root, context)
  }

  /** A second runtime over the same host instance, as after a restart of the host process. */
  async reopen(): Promise<Runtime> {
    const runtime = await this.#create()
    await runtime.open(this.context)
    this.#others.push(runtime)
    return runtime
  }

  /** The runtime that was opened last: the one that can still be asked. */
  get current(): Runtime {
    return this.#others.at(-1) ?? this.runtime
  }

  async start(program: ComplianceProgram, options: StartOptions = {}): Promise<StartedTask> {
    this.#attempts += 1
    const attemptId = options.attemptId ?? `attempt-${this.#attempts}.1`
    const workspace = await this.#workspace(attemptId, options.inputs)
    await putFiles(workspace.outDir, options.restored ?? {})
    const spec = this.#spec(attemptId, program, options)
    const signal = options.signal ?? new AbortController().signal
    const task = await this.runtime.start(spec, workspace, { signal })
    this.#tasks.push(task)
    return new StartedTask(task, workspace)
  }

  #spec(attemptId: string, program: ComplianceProgram, options: StartOptions): RuntimeSpec {
    return {
      attemptId,
      labels: {
        host: this.context.hostInstance,
        client: 'client',
        job: 'job',
        attempt: attemptId,
      },
      image: program.image,
      command: program.command,
      env: options.env ?? {},
      resources: {
        ...DEFAULT_RESOURCES,
        memoryBytes: 128 * 1024 ** 2,
        diskBytes: 64 * 1024 ** 2,
        ...options.resources,
      },
      gpuIds: options.gpuIds ?? [],
      maxRuntimeMs: options.maxRuntimeMs ?? 60_000,
      networkProfile: options.networkProfile ?? 'none',
      ...(options.secrets === undefined ? {} : { secrets: options.secrets }),
      ...(options.ports === undefined ? {} : { ports: options.ports }),
    }
  }

  /** A warm sandbox with what a case wants to know of it. */
  async startWarm(
    program: ComplianceProgram,
    options: StartOptions & { setup?: string[] } = {},
  ): Promise<StartedWarm> {
    this.#attempts += 1
    const attemptId = options.attemptId ?? `attempt-${this.#attempts}.1`
    const { inDir, outDir } = await this.#workspace(attemptId, options.inputs)
    const { command: _, ...spec } = this.#spec(attemptId, program, options)
    const signal = options.signal ?? new AbortController().signal
    const warm = { ...spec, ...(options.setup === undefined ? {} : { setup: options.setup }) }
    const dir = join(dirname(outDir), 'warm')
    await mkdir(dir)
    const sandbox = await this.runtime.startWarm!(warm, { dir, inDir }, { signal })
    this.#warm.push(sandbox)
    return new StartedWarm(sandbox, async (next, more = {}) => {
      this.#attempts += 1
      const id = `attempt-${this.#attempts}.1`
      const place = await this.#workspace(id, more.inputs)
      const { env, maxRuntimeMs } = this.#spec(id, next, more)
      const task = await sandbox.run(
        { attemptId: id, command: next.command, env, maxRuntimeMs, inDir: place.inDir },
        { signal },
      )
      this.#tasks.push(task)
      return new StartedTask(task, { inDir: place.inDir, outDir: sandbox.outDir })
    })
  }

  /** Paths of files below this fixture's directories that hold these bytes. */
  async filesWith(bytes: Uint8Array): Promise<string[]> {
    const entries = await readdir(this.#root, { recursive: true, withFileTypes: true })
    const holding: string[] = []
    for (const entry of entries) {
      const path = join(entry.parentPath, entry.name)
      if (!entry.isFile()) continue
      // A runtime may remove what it kept of a task that has just ended.
      const content = await readFile(path).catch((error: { code?: string }) => {
        if (error.code === 'ENOENT') return undefined
        throw error
      })
      if (content?.includes(Buffer.from(bytes))) holding.push(path)
    }
    return holding
  }

  async removeAll(): Promise<void> {
    for (const task of this.#tasks) await task.remove()
    for (const sandbox of this.#warm) await sandbox.close()
  }

  async close(): Promise<void> {
    try {
      await this.removeAll()
      for (const runtime of [this.runtime, ...this.#others]) await runtime.close()
    } finally {
      await rm(this.#root, { recursive: true, force: true })
    }
  }

  async #workspace(attemptId: string, inputs?: Record<string, string>): Promise<Workspace> {
    const outDir = join(this.#root, attemptId, 'out')
    await mkdir(outDir, { recursive: true })
    if (inputs === undefined) return { inDir: undefined, outDir }
    const inDir = join(this.#root, attemptId, 'in')
    await putFiles(inDir, inputs)
    return { inDir, outDir }
  }
}

async function putFiles(dir: string, files: Record<string, string>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(dir, path)), { recursive: true })
    await writeFile(join(dir, path), text)
  }
}

/** A running task with what a case wants to know of it. */
export class StartedTask {
  readonly task: RuntimeTask
  readonly workspace: Workspace
  #output: Promise<{ stdout: string; stderr: string }> | undefined

  constructor(task: RuntimeTask, workspace: Workspace) {
    this.task = task
    this.workspace = workspace
  }

  /** All that the task writes until it ends; reading starts with the first call. */
  output(): Promise<{ stdout: string; stderr: string }> {
    this.#output ??= this.#drain()
    return this.#output
  }

  /** Resolves when stdout contains `text`; rejects when the task ends without it. */
  async printed(text: string): Promise<void> {
    let seen = ''
    for await (const chunk of this.task.output()) {
      if (chunk.stream === 'stdout') seen += Buffer.from(chunk.bytes).toString()
      if (seen.includes(text)) return
    }
    throw new ManyhandsError('TASK_FAILED', `the task ended without printing ${text}: ${seen}`)
  }

  /** All bytes of stdout; instead of {@link output}. */
  async stdoutBytes(): Promise<Uint8Array> {
    const parts: Uint8Array[] = []
    for await (const chunk of this.task.output()) {
      if (chunk.stream === 'stdout') parts.push(chunk.bytes)
    }
    return Buffer.concat(parts)
  }

  file(path: string): Promise<string> {
    return readFile(join(this.workspace.outDir, path), 'utf8')
  }

  input(path: string): Promise<string> {
    return readFile(join(this.workspace.inDir ?? '', path), 'utf8')
  }

  async #drain(): Promise<{ stdout: string; stderr: string }> {
    const parts = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] }
    for await (const chunk of this.task.output()) parts[chunk.stream].push(chunk.bytes)
    return {
      stdout: Buffer.concat(parts.stdout).toString(),
      stderr: Buffer.concat(parts.stderr).toString(),
    }
  }
}

/** A warm sandbox, and how a task is started in it. */
export class StartedWarm {
  readonly sandbox: WarmSandbox
  readonly start: (program: ComplianceProgram, options?: StartOptions) => Promise<StartedTask>

  constructor(sandbox: WarmSandbox, start: StartedWarm['start']) {
    this.sandbox = sandbox
    this.start = start
  }
}

/** Polls until `check` answers true. @throws when it has not after `deadlineMs` */
export async function until(
  check: () => boolean | Promise<boolean>,
  what: string,
  deadlineMs = 20_000,
): Promise<void> {
  const deadline = performance.now() + deadlineMs
  while (!(await check())) {
    if (performance.now() > deadline)
      throw new ManyhandsError('TIMEOUT', `gave up waiting until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
