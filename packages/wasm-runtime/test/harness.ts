import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  DEFAULT_RESOURCES,
  type RuntimeExit,
  type RuntimeSpec,
  type RuntimeTask,
} from '@manyhands/core'
import { onTestFinished } from 'vitest'
import { wasm } from '../src/index.ts'
import { testProgram } from './programs.ts'

export const MIB = 1024 ** 2

const program = testProgram()

export interface Ended {
  exit: RuntimeExit
  stdout: string
  stderr: string
}

/** A runtime with directories of its own for one test. */
export async function openRuntime() {
  const root = await mkdtemp(join(tmpdir(), 'manyhands-wasm-'))
  const runtime = wasm()
  await runtime.open({ hostInstance: 'test', stateDir: root })
  onTestFinished(async () => {
    await runtime.close()
    await rm(root, { recursive: true, force: true })
  })
  const inDir = join(root, 'in')
  const outDir = join(root, 'out')
  await mkdir(inDir)
  await mkdir(outDir)
  let attempts = 0

  const start = async (
    verb: readonly (string | number)[],
    change: Partial<RuntimeSpec> & { memoryBytes?: number; diskBytes?: number } = {},
  ): Promise<RuntimeTask> => {
    const { memoryBytes, diskBytes, ...rest } = change
    attempts += 1
    const attemptId = `attempt-${attempts}.1`
    const resources = {
      ...DEFAULT_RESOURCES,
      memoryBytes: memoryBytes ?? 64 * MIB,
      diskBytes: diskBytes ?? 16 * MIB,
    }
    const spec: RuntimeSpec = {
      attemptId,
      labels: { host: 'test', client: 'client', job: 'job', attempt: attemptId },
      image: await program,
      command: ['program', ...verb.map(String)],
      env: {},
      resources,
      gpuIds: [],
      maxRuntimeMs: 30_000,
      networkProfile: 'none',
      ...rest,
    }
    return runtime.start(spec, { inDir, outDir }, { signal: new AbortController().signal })
  }

  /** Runs a verb of the test program (or another image) to its end. */
  const run = async (...args: Parameters<typeof start>): Promise<Ended> =>
    endOf(await start(...args))

  return { runtime, root, inDir, outDir, start, run }
}

export async function endOf(task: RuntimeTask): Promise<Ended> {
  const parts = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] }
  for await (const { stream, bytes } of task.output()) parts[stream].push(bytes)
  return {
    exit: await task.wait(),
    stdout: Buffer.concat(parts.stdout).toString(),
    stderr: Buffer.concat(parts.stderr).toString(),
  }
}

export const linesOf = (text: string): string[] => text.split('\n').slice(0, -1)

/** Reads until the task has said it; the rest stays for the next reader. */
export async function said(task: RuntimeTask, text: string): Promise<void> {
  let seen = ''
  for await (const { bytes } of task.output()) {
    seen += Buffer.from(bytes).toString()
    if (seen.includes(text)) return
  }
  throw new Error(`the task ended without saying ${text}: ${seen}`)
}

/** Polls until it holds. */
export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + 20_000
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`gave up waiting until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
