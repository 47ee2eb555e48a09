import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { endOf, linesOf, MIB, openRuntime, said } from './harness.ts'
import { testProgram } from './programs.ts'

describe('a task', () => {
  it('that is killed in an endless loop is gone', async () => {
    const { runtime, start } = await openRuntime()
    const task = await start(['spin'])
    await said(task, 'ready')
    await task.kill()
    expect(await task.wait()).toMatchObject({ reason: 'stopped', signal: 'SIGKILL' })
    expect(await runtime.list()).toEqual([])
  })

  it('that never lets itself be paused gains no run time by a pause', async () => {
    const { start } = await openRuntime()
    const task = await start(['spin'], { maxRuntimeMs: 500 })
    await said(task, 'ready')
    await task.pause?.()
    expect((await task.wait()).reason).toBe('max-runtime')
  })

  it('that is killed while it sleeps or is paused is gone', async () => {
    const { start } = await openRuntime()
    const sleeping = await start(['sleep', 100_000])
    await said(sleeping, 'ready')
    await sleeping.kill()
    expect((await sleeping.wait()).reason).toBe('stopped')
    const paused = await start(['ticks'])
    await said(paused, '3\n')
    await paused.pause?.()
    await paused.kill()
    expect((await paused.wait()).reason).toBe('stopped')
  })

  it('that ends within the grace of a stop ended by itself', async () => {
    const { start } = await openRuntime()
    const task = await start(['sleep', 200])
    await task.stop({ graceMs: 20_000 })
    expect(await task.wait()).toMatchObject({ exitCode: 0, reason: 'exited' })
  })

  it('tells what a trap was on stderr', async () => {
    const { run } = await openRuntime()
    const { exit, stderr } = await run(['trap'])
    expect(exit).toEqual({ exitCode: 134, signal: undefined, oom: false, reason: 'exited' })
    expect(stderr).toMatch(/^about to trap\nwasm trap: unreachable\n/)
    expect(stderr).not.toContain('file://')
  })

  it('finds the module by its name as argv[0] when it has only arguments', async () => {
    const { run } = await openRuntime()
    const image = await testProgram()
    const { stdout } = await run([], { command: undefined, args: ['echo', 'a'], image })
    expect(stdout).toBe('a\n')
  })

  it('gets different random bytes each time', async () => {
    const { run } = await openRuntime()
    expect((await run(['random'])).stdout).not.toBe((await run(['random'])).stdout)
  })

  it('lists a large directory in pieces', async () => {
    const { inDir, run } = await openRuntime()
    const names = Array.from({ length: 40 }, (_, index) => `file-${'x'.repeat(index % 20)}${index}`)
    for (const name of names) await writeFile(join(inDir, name), '')
    const { stdout } = await run(['list', 'in'])
    expect(linesOf(stdout).sort()).toEqual(['.', '..', ...names].sort())
  })

  it('finds in /out what is there, changes it, and leaves what it made of it', async () => {
    const { outDir, run } = await openRuntime()
    await writeFile(join(outDir, 'kept.txt'), 'kept')
    await writeFile(join(outDir, 'gone.txt'), 'gone')
    await mkdir(join(outDir, 'untouched'))
    await writeFile(join(outDir, 'untouched/log'), 'one,')
    const { stdout } = await run(['rearrange'])
    // Renamed, removed, not empty, not into itself, moved, not there any more.
    expect(linesOf(stdout).map(Number)).toEqual([0, 0, 55, 28, 0, 44])
    expect((await readdir(outDir, { recursive: true })).sort()).toEqual(
      ['other', 'other/moved.txt', 'untouched', 'untouched/log'].sort(),
    )
    expect(await readFile(join(outDir, 'other/moved.txt'), 'utf8')).toBe('kept')
    await run(['append', 'untouched/log', 'two'])
    expect(await readFile(join(outDir, 'untouched/log'), 'utf8')).toBe('one,two')
  })

  it('counts what is in /out at the start against its quota', async () => {
    const { outDir, run } = await openRuntime()
    await writeFile(join(outDir, 'large'), Buffer.alloc(3 * MIB))
    const { exit } = await run(['write', 'a', 'b'], { diskBytes: 2 * MIB })
    expect(exit.reason).toBe('disk')
  })

  it('uses memory and processor that are told after the end too', async () => {
    const { start } = await openRuntime()
    const task = await start(['allocate', 8 * MIB])
    await task.wait()
    const usage = await task.stats()
    expect(usage.memoryPeak).toBeGreaterThanOrEqual(8 * MIB)
    expect(usage.cpuMs).toBeGreaterThan(0)
    expect(usage).toMatchObject({ memory: 0, pids: 0, cpu: 0 })
  })
})

describe('the runtime', () => {
  it('runs many tasks on one module at once', async () => {
    const { start } = await openRuntime()
    const tasks = await Promise.all(
      Array.from({ length: 12 }, (_, index) => start(['echo', index])),
    )
    const ended = await Promise.all(tasks.map(endOf))
    expect(ended.map(({ stdout }) => stdout)).toEqual(tasks.map((_, index) => `${index}\n`))
  })

  it('kills what runs when it closes', async () => {
    const { runtime, start } = await openRuntime()
    const task = await start(['spin'])
    await runtime.close()
    expect((await task.wait()).reason).toBe('stopped')
    await expect(start(['echo'])).rejects.toMatchObject({ code: 'CLOSED' })
  })

  it('refuses networks, GPUs and a second task of the same attempt', async () => {
    const { start } = await openRuntime()
    const unsupported = { code: 'UNSUPPORTED' }
    await expect(start([], { networkProfile: { egress: ['a.b'] } })).rejects.toMatchObject(
      unsupported,
    )
    await expect(start([], { gpuIds: ['0'] })).rejects.toMatchObject(unsupported)
    await start(['spin'], { attemptId: 'twice.1' })
    await expect(start(['spin'], { attemptId: 'twice.1' })).rejects.toMatchObject({
      code: 'RUNTIME_FAILED',
    })
  })

  it('keeps no process alive, with its worker ready for a next task', async () => {
    const script = fileURLToPath(new URL('./run-and-leave.ts', import.meta.url))
    const child = spawn(
      process.execPath,
      ['--conditions=@manyhands/source', script, await testProgram()],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    let stdout = ''
    child.stdout.on('data', (chunk) => {
      stdout += chunk
    })
    const [code] = await once(child, 'exit')
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'ended with 0\n' })
  })
})
