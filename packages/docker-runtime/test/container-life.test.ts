import { availableParallelism } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import type { RuntimeTask } from '@manyhands/core'
import { afterAll, describe, expect, it } from 'vitest'
import { BUSYBOX_IMAGE, ensureImage } from '../../../scripts/docker-images.ts'
import { containerName } from '../src/container-template.ts'
import { sh } from './busybox-programs.ts'
import { engine, engineForTests } from './engine-for-tests.ts'
import { RecordingProxy } from './recording-proxy.ts'
import { SandboxForTests, textOf } from './sandbox-for-tests.ts'

const ENTRY_IMAGE = 'manyhands-test/entry:1'
const CORES = availableParallelism()
const VOLUME_IMAGE = 'manyhands-test/volume:1'

describe.skipIf(!(await engineForTests()))('a container', () => {
  afterAll(async () => {
    for (const image of [ENTRY_IMAGE, VOLUME_IMAGE]) {
      await engine
        .getImage(image)
        .remove({ force: true })
        .catch(() => {})
    }
  })

  it('carries the labels that it is found by', async () => {
    await using sandbox = await SandboxForTests.open()
    const { task, spec } = await sandbox.start(sh('sleep 100'))
    const { Config, Name } = await engine.getContainer(task.handle.id).inspect()
    expect(Config.Labels).toMatchObject({
      'manyhands.host': sandbox.hostInstance,
      'manyhands.client': 'client',
      'manyhands.job': 'job',
      'manyhands.attempt': spec.attemptId,
    })
    expect(Name).toBe(`/${containerName(sandbox.hostInstance, spec.attemptId)}`)
    await task.remove()
  })

  it('runs a command instead of, and args after, the image’s entry point', async () => {
    const image = await ensureImage(engine, ENTRY_IMAGE, [
      'ENTRYPOINT ["/bin/echo","entry"]',
      'CMD ["cmd"]',
    ])
    await using sandbox = await SandboxForTests.open()
    const command = await sandbox.run({ image, command: ['/bin/echo', 'mine'] })
    expect(command.stdout).toBe('mine\n')
    const args = await sandbox.run(
      { image, command: [] },
      { command: undefined, args: ['a b', ''] },
    )
    expect(args.stdout).toBe('entry a b \n')
    const plain = await sandbox.run({ image, command: [] }, { command: undefined })
    expect(plain.stdout).toBe('entry cmd\n')
  })

  it('gets no volume for what its image declares as one', async () => {
    const image = await ensureImage(engine, VOLUME_IMAGE, ['VOLUME ["/data","/tmp","/out","/in"]'])
    await using sandbox = await SandboxForTests.open()
    const { task } = await sandbox.start(
      {
        image,
        command: [
          '/bin/sh',
          '-c',
          'echo x >/data/f; grep -E " /(data|tmp) " /proc/mounts; sleep 100',
        ],
      },
      { inputs: { a: 'x' } },
    )
    const { Mounts } = await engine.getContainer(task.handle.id).inspect()
    const volumes = Mounts.filter((mount) => mount.Type === 'volume')
    const text = textOf(task)
    await task.kill()
    await task.remove()
    expect((await text).stdout).toMatch(/ \/data tmpfs .*nosuid.*size=/)
    // What Docker makes for /tmp under our tmpfs is at least gone with the container.
    const named = await engine.listVolumes()
    const left = volumes.filter((volume) =>
      named.Volumes?.some((existing) => existing.Name === volume.Name),
    )
    expect(left).toEqual([])
    expect(
      Mounts.filter((mount) => mount.Type === 'volume' && mount.Destination !== '/tmp'),
    ).toEqual([])
  })

  it('is left behind neither by success nor by failure nor by a kill', async () => {
    await using sandbox = await SandboxForTests.open()
    await sandbox.run(sh('true'))
    await sandbox.run(sh('exit 3'))
    const { task } = await sandbox.start(sh('sleep 100'))
    await task.kill()
    await task.remove()
    await expect(sandbox.start({ image: BUSYBOX_IMAGE, command: ['/tmp'] })).rejects.toMatchObject({
      code: 'COMMAND_INVALID',
    })
    expect(await sandbox.runtime.list()).toEqual([])
  })

  it('is adopted when the same attempt is started again', async () => {
    await using sandbox = await SandboxForTests.open()
    const attemptId = 'task.7'
    const first = await sandbox.start(sh('sleep 100'), { attemptId })
    const again = await sandbox.start(sh('sleep 100'), { attemptId })
    expect(again.task).toBe(first.task)
    await sandbox.reopen()
    const later = await sandbox.start(sh('sleep 100'), { attemptId })
    expect(later.task.handle).toEqual(first.task.handle)
    expect(await sandbox.runtime.list()).toHaveLength(1)
    await later.task.remove()
  })

  it('is not adopted from somebody else who has its name', async () => {
    await using sandbox = await SandboxForTests.open()
    const name = containerName(sandbox.hostInstance, 'task.8')
    const stranger = await engine.createContainer({
      name,
      Image: BUSYBOX_IMAGE,
      Cmd: ['/bin/true'],
    })
    try {
      await expect(sandbox.start(sh('true'), { attemptId: 'task.8' })).rejects.toMatchObject({
        code: 'RUNTIME_FAILED',
      })
      expect((await stranger.inspect()).State.Status).toBe('created')
    } finally {
      await stranger.remove({ force: true })
    }
  })

  it('of another host instance is not taken up', async () => {
    await using sandbox = await SandboxForTests.open()
    await using other = await SandboxForTests.open()
    const { task } = await sandbox.start(sh('sleep 100'))
    expect(await other.runtime.recover(task.handle)).toBe(undefined)
    expect(await other.runtime.list()).toEqual([])
    await task.remove()
  })

  it('tells its end to a process that comes after it', async () => {
    await using sandbox = await SandboxForTests.open()
    const { task } = await sandbox.start(sh('exit 5'))
    await task.wait()
    await sandbox.reopen()
    const again = await sandbox.runtime.recover(task.handle)
    expect(await again?.wait()).toMatchObject({ exitCode: 5, reason: 'exited' })
    expect(await textOf(again!)).toEqual({ stdout: '', stderr: '' })
    await again?.remove()
  })

  it('ran until it ended, however late it is taken up', async () => {
    await using sandbox = await SandboxForTests.open()
    const { task } = await sandbox.start(sh('exit 0'))
    await task.wait()
    const { State } = await engine.getContainer(task.handle.id).inspect()
    const tookMs = Date.parse(State.FinishedAt) - Date.parse(State.StartedAt)
    // Its end lies further back than it ran: who counts until now says too much.
    await delay(tookMs + 3_000)
    await sandbox.reopen()
    const again = await sandbox.runtime.recover(task.handle)
    const before = await again!.stats()
    await again!.wait()
    const after = await again!.stats()
    for (const { elapsedMs } of [before, after]) {
      expect(elapsedMs).toBeGreaterThanOrEqual(tookMs)
      expect(elapsedMs).toBeLessThan(tookMs + 3_000)
    }
    await again!.remove()
  })

  it('keeps its longest run time over a recovery', async () => {
    await using sandbox = await SandboxForTests.open()
    const { task } = await sandbox.start(sh('sleep 100'), { maxRuntimeMs: 1500 })
    await sandbox.reopen()
    const again = await sandbox.runtime.recover(task.handle)
    expect((await again?.wait())?.reason).toBe('max-runtime')
    await again?.remove()
  })

  it.for(['../containers/json', 'a/../../b', '/abs', 'a?b', 'a#b', 'A b', '', 'x'.repeat(600)])(
    'is never created from the image reference %j',
    async (image) => {
      await using sandbox = await SandboxForTests.open()
      await expect(sandbox.start({ image, command: ['/bin/true'] })).rejects.toMatchObject({
        code: 'IMAGE_INVALID',
      })
    },
  )

  it('is not created from the beginning of an image’s id', async () => {
    const { Id } = await engine.getImage(BUSYBOX_IMAGE).inspect()
    await using sandbox = await SandboxForTests.open()
    await expect(
      sandbox.start({ image: Id.slice(7, 19), command: ['/bin/true'] }),
    ).rejects.toMatchObject({ code: 'IMAGE_NOT_FOUND' })
    expect((await sandbox.run({ image: Id, command: ['/bin/true'] })).exit.exitCode).toBe(0)
  })

  it('takes an argv and an environment far longer than a URL', async () => {
    await using sandbox = await SandboxForTests.open()
    const long = 'x'.repeat(100_000)
    const script = 'printf %s "$1" | wc -c; printf %s "$LONG" | wc -c'
    const { stdout } = await sandbox.run(sh(script, long), { env: { LONG: long } })
    expect(stdout).toBe('100000\n100000\n')
  })

  it.runIf(CORES > 1)('is bound to cores of its own, also when its share changes', async () => {
    await using sandbox = await SandboxForTests.open()
    const resources = { cpus: 1 }
    const { task } = await sandbox.start(sh('sleep 100'), { resources })
    const other = await sandbox.start(sh('sleep 100'), { resources })
    const count = async () =>
      Number(Buffer.from((await task.exec!(['/bin/nproc'], {})).stdout).toString())
    const cores = async ({ handle }: RuntimeTask) =>
      (await engine.getContainer(handle.id).inspect()).HostConfig.CpusetCpus
    expect(await count()).toBe(1)
    expect(await cores(task)).not.toBe(await cores(other.task))
    await task.limit!({ cpus: CORES })
    expect(await count()).toBe(CORES)
    const before = await cores(other.task)
    await other.task.limit!({ cpus: 0.5, memoryBytes: 64 * 1024 ** 2 })
    expect(await cores(other.task)).toBe(before)
    await Promise.all([task.remove(), other.task.remove()])
  })

  it.runIf(CORES > 1)('keeps its cores over a restart of the host’s process', async () => {
    await using sandbox = await SandboxForTests.open()
    const { task } = await sandbox.start(sh('sleep 100'), { resources: { cpus: 1 } })
    const { CpusetCpus } = (await engine.getContainer(task.handle.id).inspect()).HostConfig
    await sandbox.reopen()
    const again = (await sandbox.runtime.recover(task.handle))!
    const { stdout } = await sandbox.run(sh('cat /proc/self/status'), { resources: { cpus: 1 } })
    expect(stdout).toMatch(/^Cpus_allowed_list:\s+\d+$/m)
    expect(stdout).not.toMatch(new RegExp(`^Cpus_allowed_list:\\s+${CpusetCpus}$`, 'm'))
    await again.remove()
  })

  it.runIf(CORES > 1)('runs on any core where its engine has others than we see', async () => {
    await using proxy = await RecordingProxy.open()
    const bound = (body: string) => JSON.parse(body).HostConfig.CpusetCpus
    proxy.refusesToCreate = (body) =>
      bound(body) === ''
        ? undefined
        : 'Requested CPUs are not available - requested 1, available: 9'
    await using sandbox = await SandboxForTests.open({ socketPath: proxy.socketPath })
    for (let index = 0; index < 2; index += 1) {
      const { exit } = await sandbox.run(sh('true'), { resources: { cpus: 1 } })
      expect(exit.exitCode).toBe(0)
    }
    const created = proxy.recorded.filter(({ path }) => path === '/containers/create')
    expect(created.map(({ body }) => bound(body) === '')).toEqual([false, true, true])
  })

  it('runs on any core where the owner wants that', async () => {
    await using sandbox = await SandboxForTests.open({ cpuPinning: false })
    const { task } = await sandbox.start(sh('sleep 100'), { resources: { cpus: 1 } })
    const { HostConfig } = await engine.getContainer(task.handle.id).inspect()
    expect(HostConfig.CpusetCpus).toBe('')
    await task.remove()
  })
})
