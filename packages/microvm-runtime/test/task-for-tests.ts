import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  DEFAULT_RESOURCES,
  type Resources,
  type Runtime,
  type RuntimeExit,
  type RuntimeTask,
} from '@manyhands/core'

const MIB = 1024 ** 2

/** One runtime and one task in a directory of their own. */
export interface TaskForTests extends AsyncDisposable {
  runtime: Runtime
  task: RuntimeTask
  root: string
  outDir: string
  /** All that it says until it ends, and how it ended. */
  finish(): Promise<{ stdout: string; stderr: string; exit: RuntimeExit }>
}

export async function startForTests(
  runtime: Runtime,
  image: string,
  command: string[],
  resources: Partial<Resources> = {},
  /** Fills the directory of inputs. */
  prepare: (inDir: string) => Promise<void> = async () => {},
): Promise<TaskForTests> {
  const root = await mkdtemp(join(tmpdir(), 'manyhands-microvm-task-'))
  await using undo = new AsyncDisposableStack()
  undo.defer(() => rm(root, { recursive: true, force: true }))
  undo.defer(() => runtime.close())
  const outDir = join(root, 'out')
  const inDir = join(root, 'in')
  for (const directory of [outDir, inDir, join(root, 'state')]) await mkdir(directory)
  await prepare(inDir)
  await runtime.open({ hostInstance: 'test', stateDir: join(root, 'state') })
  const task = await runtime.start(
    {
      attemptId: 'only.1',
      labels: { host: 'test', client: 'client', job: 'job', attempt: 'only.1' },
      image,
      command,
      env: {},
      resources: {
        ...DEFAULT_RESOURCES,
        memoryBytes: 64 * MIB,
        diskBytes: 16 * MIB,
        ...resources,
      },
      gpuIds: [],
      maxRuntimeMs: 120_000,
      networkProfile: 'none',
    },
    { inDir, outDir },
    { signal: new AbortController().signal },
  )
  const finish = async () => {
    const parts = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] }
    for await (const { stream, bytes } of task.output()) parts[stream].push(bytes)
    const text = (bytes: Uint8Array[]) => Buffer.concat(bytes).toString()
    return { stdout: text(parts.stdout), stderr: text(parts.stderr), exit: await task.wait() }
  }
  const kept = undo.move()
  return {
    ...{ runtime, task, root, outDir, finish },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}
