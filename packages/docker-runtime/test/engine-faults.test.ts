import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { docker } from '../src/index.ts'
import { sh } from './busybox-programs.ts'
import { canStart, OwnDocker } from './own-engines.ts'
import { SandboxForTests } from './sandbox-for-tests.ts'

describe.skipIf(!canStart('dockerd'))('an engine', { timeout: 60_000 }, () => {
  let engine: OwnDocker
  beforeAll(async () => {
    engine = await OwnDocker.start()
  })
  afterAll(() => engine?.[Symbol.asyncDispose](), 60_000)

  it('that hangs is told, loses no attempt, and goes on', async () => {
    await using sandbox = await SandboxForTests.open({ socketPath: engine.socketPath })
    const { task } = await sandbox.start(sh('while [ ! -e /out/go ]; do sleep 0.1; done'))
    engine.signal('SIGSTOP')
    try {
      const found = await sandbox.runtime.fingerprint()
      expect(found.available).toBe(false)
      expect(found.detail).toMatch(/does not answer in time/)
      const first = await Promise.race([
        task.wait(),
        new Promise((resolve) => setTimeout(resolve, 1000, 'still there')),
      ])
      expect(first).toBe('still there')
    } finally {
      engine.signal('SIGCONT')
    }
    expect((await sandbox.runtime.fingerprint()).available).toBe(true)
    await task.exec?.(['/bin/touch', '/out/go'], {})
    expect(await task.wait()).toMatchObject({ exitCode: 0, reason: 'exited' })
    await task.remove()
  })

  it('shared by two hosts keeps what is theirs apart', async () => {
    await using one = await SandboxForTests.open({ socketPath: engine.socketPath })
    await using two = await SandboxForTests.open({ socketPath: engine.socketPath })
    // The same attempt, for both.
    const attemptId = 'same.1'
    const a = await one.start(sh('sleep 1000'), { attemptId })
    const b = await two.start(sh('sleep 1000'), { attemptId })
    expect(a.task.handle.id).not.toBe(b.task.handle.id)
    expect(await two.runtime.recover(a.task.handle)).toBe(undefined)
    await one.reopen({ socketPath: engine.socketPath })
    expect(await one.runtime.list()).toEqual([a.task.handle])
    await (await one.runtime.recover(a.task.handle))?.remove()
    expect(await two.runtime.list()).toEqual([b.task.handle])
    expect((await engine.docker.getContainer(b.task.handle.id).inspect()).State.Running).toBe(true)
    await b.task.remove()
  })

  it.for([
    ['killed', 'SIGKILL'],
    ['restarted', 'SIGTERM'],
  ] as const)('%s under a task without live-restore is the engine’s fault', async ([, signal]) => {
    await using sandbox = await SandboxForTests.open({ socketPath: engine.socketPath })
    // A task that would count as a success if a code were believed.
    const { task } = await sandbox.start(sh('trap "exit 0" TERM; while :; do sleep 0.1; done'))
    await engine.end(signal)
    await engine.start()
    expect((await task.wait()).reason).toBe('engine-lost')
    await task.remove()
    expect(await sandbox.runtime.list()).toEqual([])
    // The same runtime serves on.
    expect((await sandbox.run(sh('true'))).exit).toMatchObject({ exitCode: 0, reason: 'exited' })
  })
})

describe.skipIf(!canStart('dockerd'))('an engine with live-restore', { timeout: 60_000 }, () => {
  it.for(['SIGKILL', 'SIGTERM'] as const)('that ends by %s changes nothing', async (signal) => {
    await using engine = await OwnDocker.start({ liveRestore: true })
    await using sandbox = await SandboxForTests.open({ socketPath: engine.socketPath })
    const { task } = await sandbox.start(sh('while [ ! -e /out/go ]; do sleep 0.1; done; exit 3'))
    const { State } = await engine.docker.getContainer(task.handle.id).inspect()
    await engine.end(signal)
    expect((await docker({ socketPath: engine.socketPath }).fingerprint()).available).toBe(false)
    await engine.start()
    expect((await engine.docker.getContainer(task.handle.id).inspect()).State.Pid).toBe(State.Pid)
    expect(await readFile(`/proc/${State.Pid}/comm`, 'utf8')).not.toBe('')
    await task.exec?.(['/bin/touch', '/out/go'], {})
    expect(await task.wait()).toMatchObject({ exitCode: 3, reason: 'exited' })
    await task.remove()
  })
})
