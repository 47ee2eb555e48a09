import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import {
  DEFAULT_RESOURCES,
  type Resources,
  type Runtime,
  type RuntimeSpec,
  type RuntimeTask,
  type Workspace,
} from '@manyhands/core'
import { type DockerOptions, docker } from '../src/index.ts'
import { engine } from './engine-for-tests.ts'

const MIB = 1024 ** 2

export interface Asked extends Partial<Omit<RuntimeSpec, 'resources'>> {
  resources?: Partial<Resources>
  inputs?: Record<string, string>
  /** Does something to the directory of inputs before the start. */
  prepare?: (inDir: string) => Promise<void>
}

/** A runtime with a host instance and directories of its own; disposing it leaves nothing. */
export class SandboxForTests implements AsyncDisposable {
  readonly hostInstance = `test-${randomUUID()}`
  readonly root: string
  runtime: Runtime

  private constructor(root: string, options: DockerOptions) {
    this.root = root
    this.runtime = docker({ reaper: false, ...options })
  }

  static async open(options: DockerOptions = {}): Promise<SandboxForTests> {
    const root = await mkdtemp(join(tmpdir(), 'manyhands-docker-'))
    const sandbox = new SandboxForTests(root, options)
    await sandbox.runtime.open({ hostInstance: sandbox.hostInstance, stateDir: root })
    return sandbox
  }

  /** As after a restart of the host process. */
  async reopen(options: DockerOptions = {}): Promise<void> {
    await this.runtime.close()
    this.runtime = docker({ reaper: false, ...options })
    await this.runtime.open({ hostInstance: this.hostInstance, stateDir: this.root })
  }

  async start(program: { image: string; command: string[] }, asked: Asked = {}) {
    const { inputs, prepare, resources, ...rest } = asked
    const attemptId = rest.attemptId ?? `attempt-${randomUUID()}.1`
    const workspace = await this.#workspace(attemptId, inputs)
    if (workspace.inDir !== undefined) await prepare?.(workspace.inDir)
    const spec: RuntimeSpec = {
      attemptId,
      labels: { host: this.hostInstance, client: 'client', job: 'job', attempt: attemptId },
      ...program,
      env: {},
      gpuIds: [],
      maxRuntimeMs: 60_000,
      networkProfile: 'none',
      ...rest,
      resources: {
        ...DEFAULT_RESOURCES,
        memoryBytes: 64 * MIB,
        diskBytes: 16 * MIB,
        pids: 64,
        ...resources,
      },
    }
    const signal = new AbortController().signal
    const task = await this.runtime.start(spec, workspace, { signal })
    return { task, workspace, spec }
  }

  /** Starts, reads all output, waits, removes. */
  async run(program: { image: string; command: string[] }, asked: Asked = {}) {
    const { task, workspace } = await this.start(program, asked)
    const output = await textOf(task)
    const exit = await task.wait()
    await task.remove()
    return { ...output, exit, workspace }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.runtime.close()
    const label = [`manyhands.host=${this.hostInstance}`]
    for (const { Id } of await engine.listContainers({ all: true, filters: { label } })) {
      await engine.getContainer(Id).remove({ force: true, v: true })
    }
    await rm(this.root, { recursive: true, force: true })
  }

  async #workspace(attemptId: string, inputs?: Record<string, string>): Promise<Workspace> {
    const outDir = join(this.root, attemptId, 'out')
    if (inputs === undefined) return { inDir: undefined, outDir }
    const inDir = join(this.root, attemptId, 'in')
    for (const [path, text] of Object.entries(inputs)) {
      await mkdir(dirname(join(inDir, path)), { recursive: true })
      await writeFile(join(inDir, path), text)
    }
    return { inDir, outDir }
  }
}

export async function textOf(task: RuntimeTask): Promise<{ stdout: string; stderr: string }> {
  const text = { stdout: '', stderr: '' }
  for await (const chunk of task.output()) text[chunk.stream] += Buffer.from(chunk.bytes).toString()
  return text
}

/** Polls until `check` answers true, 20 s at most. */
export async function until(check: () => Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + 20_000
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error(`gave up waiting until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
