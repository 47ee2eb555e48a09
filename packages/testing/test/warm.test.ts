import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JobSpec, Runtime, WarmSandbox } from '@manyhands/core'
import type { Host } from '@manyhands/host'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createLocalNetwork, type LocalNetwork, scripted } from '../src/index.ts'
import { until } from './docker-for-tests.ts'

interface Watched {
  readonly runtime: Runtime
  /** Sandboxes that were made and that are there, and the tasks that each has run. */
  readonly made: { sandbox: WarmSandbox; tasks: number; closed: boolean }[]
  open(): number
}

/** The scripted runtime, with an eye on its warm sandboxes. Two tasks at once in one fail in it. */
function watched(): Watched {
  const runtime = scripted()
  const made: Watched['made'] = []
  const startWarm = runtime.startWarm!.bind(runtime)
  runtime.startWarm = async (...args) => {
    const sandbox = await startWarm(...args)
    const entry = { sandbox, tasks: 0, closed: false }
    made.push(entry)
    const [run, close] = [sandbox.run.bind(sandbox), sandbox.close.bind(sandbox)]
    sandbox.run = (...task) => {
      entry.tasks += 1
      return run(...task)
    }
    sandbox.close = async () => {
      await close()
      entry.closed = true
    }
    return sandbox
  }
  return { runtime, made, open: () => made.filter(({ closed }) => !closed).length }
}

const RESOURCES = { cpus: 1, memory: '256MiB', disk: '64MiB', pids: 16 }

describe('warm sandboxes', () => {
  let dir: string
  let network: LocalNetwork
  let host: Host
  let seen: Watched
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'manyhands-warm-'))
    seen = watched()
    network = await createLocalNetwork({
      hosts: [
        {
          runtimes: [seen.runtime],
          state: join(dir, 'host'),
          share: { cpus: 2, memory: '512MiB', disk: '1GiB', pids: 64 },
        },
      ],
    })
    host = network.hosts[0]!
  })
  afterEach(async () => {
    await network.close()
    expect(seen.open()).toBe(0)
    const left = await readdir(join(dir, 'host', 'attempts'))
    expect(left.filter((name) => name.endsWith('.warm'))).toEqual([])
    await rm(dir, { recursive: true, force: true })
  })

  const job = (more: Partial<JobSpec<unknown>> = {}): JobSpec<unknown> => ({
    runtime: 'scripted',
    image: 'any',
    command: ['run', '--write', 'a.txt={{item}}'],
    resources: RESOURCES,
    tasks: '1-40',
    warm: {},
    ...more,
  })

  it('are as many as there are slots, and run every task once with its own outputs', async () => {
    const running = await network.client.submit(job())
    const results = await Array.fromAsync(running.results({ ordered: true }))
    expect(results.map(({ ok }) => ok)).toEqual(Array(40).fill(true))
    for (const [index, { outputs }] of results.entries()) {
      expect(Buffer.from(await outputs.read('a.txt')).toString()).toBe(`${index + 1}`)
      expect(outputs.files.map(({ path }) => path)).toEqual(['a.txt'])
    }
    expect(seen.made).toHaveLength(2)
    expect(seen.made.reduce((sum, { tasks }) => sum + tasks, 0)).toBe(40)
    // With the job they end, long before they would by themselves, and give everything back.
    await until(() => seen.open() === 0, 'they have ended')
    expect(host.offer.free).toMatchObject({ cpus: 2, memoryBytes: 512 * 1024 ** 2, pids: 64 })
  })

  it('are set up once each, and end after so many tasks', async () => {
    const running = await network.client.submit(
      job({
        command: ['run', '--kept'],
        tasks: '1-10',
        hosts: { perHost: 1 },
        warm: { setup: ['run', '--keep', 'a scene'], tasksPerSandbox: 4 },
      }),
    )
    const results = await Array.fromAsync(running.results())
    expect(results.map(({ stdoutTail }) => stdoutTail)).toEqual(Array(10).fill('a scene'))
    // The setup's own task is not counted here.
    expect(seen.made.map(({ tasks }) => tasks)).toEqual([4, 4, 2])
  })

  it('end with a task that fails, and what comes next gets another', async () => {
    const running = await network.client.submit(
      job({
        command: ['run', '--exit', '{{item}}'],
        tasks: [0, 0, 3, 0, 0],
        hosts: { perHost: 1 },
        retry: { attempts: 1 },
      }),
    )
    const results = await Array.fromAsync(running.results({ ordered: true }))
    expect(results.map(({ exitCode }) => exitCode)).toEqual([0, 0, 3, 0, 0])
    expect(seen.made.map(({ tasks }) => tasks)).toEqual([3, 2])
    expect(seen.made[0]!.sandbox.usable).toBe(false)
  })

  it('whose setup fails fail their task, with what the setup wrote', async () => {
    const running = await network.client.submit(
      job({
        tasks: ['x'],
        retry: { attempts: 2 },
        warm: { setup: ['run', '--stderr', 'no such scene\n', '--exit', '4'] },
      }),
    )
    const [result] = await Array.fromAsync(running.results())
    expect(result).toMatchObject({ ok: false, attempts: 2 })
    expect(result!.error).toMatchObject({ code: 'SETUP_FAILED', blame: 'task' })
    expect(result!.error!.message).toMatch(/exit code 4: no such scene/)
    expect(host.offer.free.cpus).toBe(2)
  })

  it('are never shared by two jobs, nor by two clients', async () => {
    const keeping = job({
      command: ['run', '--kept'],
      tasks: ['x'],
      warm: { setup: ['run', '--keep', 'mine'] },
    })
    await network.client.run(keeping)
    const other = await network.addClient()
    await other.waitForHosts()
    for (const client of [network.client, other]) {
      const looking = await client.submit({ ...keeping, warm: {} })
      const [result] = await Array.fromAsync(looking.results())
      expect(result!.stdoutTail).toBe('')
    }
    expect(seen.made).toHaveLength(3)
  })

  it('that rest make room for whoever else needs it, at once', async () => {
    const blocked = Promise.withResolvers<void>()
    async function* slow() {
      yield 1
      yield 2
      await blocked.promise
    }
    const first = await network.client.submit(job({ tasks: slow() }))
    await until(
      () =>
        seen.made.reduce((sum, { tasks }) => sum + tasks, 0) === 2 && host.attempts().length === 0,
      'both tasks are done',
    )
    expect(seen.open()).toBeGreaterThan(0)
    // Offered as free, because it is for whoever asks.
    expect(host.offer.free.cpus).toBe(2)
    const cold = { ...job({ tasks: '1-2', command: ['run'] }), warm: undefined }
    const { counts } = await network.client.run({ ...cold, resources: { ...RESOURCES, cpus: 2 } })
    expect(counts.completed).toBe(2)
    expect(seen.open()).toBe(0)
    blocked.resolve()
    expect((await first.wait()).counts.completed).toBe(2)
  })

  it('end when their owner kills a task in them, blocks its client, or drains', async () => {
    const hanging = await network.client.submit(
      job({ command: ['run', '--hang'], tasks: ['x'], hosts: { perHost: 1 } }),
    )
    await until(() => host.attempts().some(({ phase }) => phase === 'running'), 'it runs')
    const before = seen.made.length
    await host.kill(host.attempts()[0]!.id)
    expect(seen.made[before - 1]!.closed).toBe(true)
    await until(() => host.attempts().some(({ phase }) => phase === 'running'), 'it runs again')
    expect(seen.made).toHaveLength(before + 1)
    await hanging.cancel()
    await until(() => seen.open() === 0, 'it is canceled')
    const blocked = Promise.withResolvers<void>()
    async function* slow() {
      yield 1
      await blocked.promise
    }
    const resting = await network.client.submit(job({ tasks: slow() }))
    await until(() => seen.made.length === before + 2 && host.attempts().length === 0, 'it rests')
    expect(seen.open()).toBe(1)
    await host.drain()
    await until(() => seen.open() === 0, 'the drain has ended it')
    blocked.resolve()
    await resting.cancel()
  })

  it('are refused where the runtime has none', async () => {
    const bare = scripted({ name: 'bare' })
    const { capabilities } = bare
    Object.defineProperty(bare, 'capabilities', { value: { ...capabilities, warm: false } })
    const other = await network.addHost({ runtimes: [bare] })
    const verdicts = await other.explain({
      client: network.client.peerId,
      runtime: 'bare',
      image: 'any',
      resources: { cpus: 1, memoryBytes: 1, diskBytes: 0, gpus: 0, pids: 1 },
      timeoutMs: 0,
      networkProfile: 'none',
      warm: true,
    })
    expect(verdicts.filter(({ allowed }) => !allowed)).toMatchObject([{ rule: 'warm' }])
  })
})
