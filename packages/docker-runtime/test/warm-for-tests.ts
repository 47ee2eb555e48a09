import { randomUUID } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  DEFAULT_RESOURCES,
  type Resources,
  type RuntimeTask,
  type WarmSandbox,
  type WarmSpec,
  type WarmTaskSpec,
} from '@manyhands/core'
import { BUSYBOX_IMAGE } from '../../../scripts/docker-images.ts'
import { type SandboxForTests, textOf } from './sandbox-for-tests.ts'

const MIB = 1024 ** 2
const signal = new AbortController().signal

/** One warm container of busybox's shell. */
export class WarmForTests {
  readonly #sandbox: SandboxForTests
  readonly warm: WarmSandbox

  private constructor(sandbox: SandboxForTests, warm: WarmSandbox) {
    this.#sandbox = sandbox
    this.warm = warm
  }

  static async open(
    sandbox: SandboxForTests,
    asked: {
      setup?: string
      resources?: Partial<Resources>
      inputs?: Record<string, string>
      spec?: Partial<WarmSpec>
    } = {},
  ): Promise<WarmForTests> {
    const attemptId = `warm-${randomUUID()}.1`
    const spec: WarmSpec = {
      attemptId,
      labels: { host: sandbox.hostInstance, client: 'client', job: 'job', attempt: attemptId },
      image: BUSYBOX_IMAGE,
      env: {},
      resources: {
        ...DEFAULT_RESOURCES,
        memoryBytes: 64 * MIB,
        diskBytes: 16 * MIB,
        pids: 64,
        ...asked.resources,
      },
      gpuIds: [],
      maxRuntimeMs: 20_000,
      networkProfile: 'none',
      ...(asked.setup === undefined ? {} : { setup: ['/bin/sh', '-c', asked.setup] }),
      ...asked.spec,
    }
    const dir = join(sandbox.root, attemptId)
    await mkdir(dir)
    const inDir = asked.inputs && (await stagedInputs(sandbox, asked.inputs))
    return new WarmForTests(
      sandbox,
      await sandbox.runtime.startWarm!(spec, { dir, inDir }, { signal }),
    )
  }

  /** Starts a task of a shell. */
  start(script: string, more: Partial<WarmTaskSpec> = {}): Promise<RuntimeTask> {
    return this.warm.run(
      {
        attemptId: `task-${randomUUID()}.1`,
        command: ['/bin/sh', '-c', script],
        env: {},
        maxRuntimeMs: 20_000,
        inDir: undefined,
        ...more,
      },
      { signal },
    )
  }

  /** Runs a task to its end; what it wrote is looked at by `look` before it is removed. */
  async run(
    script: string,
    more: Partial<WarmTaskSpec> & { look?: (outDir: string) => Promise<void> } = {},
  ) {
    const { look, ...task } = more
    const started = await this.start(script, task)
    const output = await textOf(started)
    const exit = await started.wait()
    await look?.(this.warm.outDir)
    await started.remove()
    return { ...output, exit }
  }

  staged(inputs: Record<string, string>): Promise<string> {
    return stagedInputs(this.#sandbox, inputs)
  }
}

async function stagedInputs(
  sandbox: SandboxForTests,
  inputs: Record<string, string>,
): Promise<string> {
  const dir = join(sandbox.root, `in-${randomUUID()}`)
  await mkdir(dir)
  for (const [path, text] of Object.entries(inputs)) {
    await mkdir(dirname(join(dir, path)), { recursive: true })
    await writeFile(join(dir, path), text)
  }
  return dir
}
