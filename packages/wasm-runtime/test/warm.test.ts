import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DEFAULT_RESOURCES, type WarmSandbox, type WarmSpec } from '@manyhands/core'
import { describe, expect, it, onTestFinished } from 'vitest'
import { wasm } from '../src/index.ts'
import { endOf, MIB } from './harness.ts'
import { testProgram, textModule } from './programs.ts'

const signal = new AbortController().signal
const FINE = { exitCode: 0, reason: 'exited', oom: false }

async function openWarm(change: Partial<WarmSpec> & { memoryBytes?: number } = {}) {
  const root = await mkdtemp(join(tmpdir(), 'manyhands-wasm-'))
  const runtime = wasm()
  await runtime.open({ hostInstance: 'test', stateDir: root })
  onTestFinished(async () => {
    await runtime.close()
    expect(await runtime.list()).toEqual([])
    await rm(root, { recursive: true, force: true })
  })
  const dir = join(root, 'warm')
  await mkdir(dir)
  const { memoryBytes = 64 * MIB, ...rest } = change
  const spec: WarmSpec = {
    attemptId: 'attempt-1.1',
    labels: { host: 'test', client: 'client', job: 'job', attempt: 'attempt-1.1' },
    image: await testProgram(),
    env: {},
    resources: { ...DEFAULT_RESOURCES, memoryBytes, diskBytes: 16 * MIB },
    gpuIds: [],
    maxRuntimeMs: 30_000,
    networkProfile: 'none',
    ...rest,
  }
  const sandbox = await runtime.startWarm!(spec, { dir, inDir: undefined }, { signal })
  return { runtime, sandbox }
}

let tasks = 0
async function run(sandbox: WarmSandbox, ...verb: (string | number)[]) {
  tasks += 1
  const command = ['program', ...verb.map(String)]
  const task = await sandbox.run(
    { attemptId: `task-${tasks}.1`, command, env: {}, maxRuntimeMs: 20_000, inDir: undefined },
    { signal },
  )
  const ended = await endOf(task)
  const files = await readdir(sandbox.outDir, { recursive: true })
  await task.remove()
  return { ...ended, files }
}

async function residentBytes(): Promise<number> {
  const status = await readFile('/proc/self/status', 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) * 1024
}

describe('a warm thread', () => {
  it('gives each task an instance and a memory of its own, and /tmp to all of them', async () => {
    // Counts in its memory how often it was started there, and ends with that as its code.
    const image = await textModule(`(module
      (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (memory (export "memory") 1)
      (global $runs (mut i32) (i32.const 0))
      (func (export "_start")
        (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
        (global.set $runs (i32.add (global.get $runs) (i32.const 1)))
        (call $exit (i32.sub (i32.add (i32.load (i32.const 0)) (global.get $runs)) (i32.const 2)))))`)
    const counting = await openWarm({ image })
    for (let round = 0; round < 5; round += 1) {
      expect((await run(counting.sandbox)).exit).toMatchObject(FINE)
    }
    const keeping = await openWarm()
    expect((await run(keeping.sandbox, 'keep', 'one')).exit).toMatchObject(FINE)
    expect((await run(keeping.sandbox, 'kept')).stdout).toBe('one')
    expect((await run(keeping.sandbox, 'write', 'a/b', 'x')).files).toEqual(['a', 'a/b'])
    expect((await run(keeping.sandbox, 'list', 'out')).stdout).toBe('.\n..\n')
  })

  it('does not let the memories of ended tasks add up', async () => {
    const { sandbox } = await openWarm({ memoryBytes: 96 * MIB })
    const before = await residentBytes()
    let most = 0
    for (let round = 0; round < 30; round += 1) {
      expect((await run(sandbox, 'allocate', 64 * MIB)).exit).toMatchObject(FINE)
      most = Math.max(most, await residentBytes())
    }
    // One at a time: without a word to V8 there are three and more.
    expect(most - before).toBeLessThan(2 * 64 * MIB)
  })

  it('ends with a trap, a full /tmp and an endless loop, and leaves the others alone', async () => {
    const other = await openWarm()
    const trapped = await openWarm({ memoryBytes: 4 * MIB })
    expect((await run(trapped.sandbox, 'allocate', 64 * MIB)).exit.exitCode).toBe(134)
    expect(trapped.sandbox.usable).toBe(false)
    const full = await openWarm({ memoryBytes: 8 * MIB })
    expect((await run(full.sandbox, 'keep', 'x'.repeat(100_000))).exit).toMatchObject(FINE)
    const looping = await openWarm()
    const task = await looping.sandbox.run(
      {
        attemptId: 'task-loop.1',
        command: ['program', 'spin'],
        env: {},
        maxRuntimeMs: 300,
        inDir: undefined,
      },
      { signal },
    )
    expect((await task.wait()).reason).toBe('max-runtime')
    expect(looping.sandbox.usable).toBe(false)
    expect((await run(other.sandbox, 'echo', 'fine')).stdout).toBe('fine\n')
  })
})
