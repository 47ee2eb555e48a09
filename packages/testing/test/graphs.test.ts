import { join } from 'node:path'
import type { Job } from '@manyhands/client'
import type { JobSpec, TaskResult, TaskSpec } from '@manyhands/core'
import { describe, expect, it } from 'vitest'
import { networkForTests } from './network-for-tests.ts'

const tested = networkForTests()
const { network } = tested

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
}

/** A graph as a table: what each task does, needs and takes. */
function graph(tasks: Record<string, TaskSpec>): JobSpec<string> {
  return {
    runtime: 'scripted',
    image: 'any',
    tasks: Object.keys(tasks),
    task: (key) => ({ ...tasks[key]!, key }),
  }
}

const run = (...command: string[]) => ({ command: ['run', ...command] })

const byKey = async (job: Job<string>) =>
  new Map((await Array.fromAsync(job.results())).map((result) => [result.key, result]))

const MiB = 1024 * 1024

describe('tasks that need others', () => {
  it('run when these have completed, and not before', async () => {
    const { client } = await network({ hosts: 2 })
    const job = await client.submit(
      graph({
        last: { ...run(), needs: ['left', 'right'] },
        left: { ...run('--for', '60ms'), needs: ['first'] },
        right: { ...run('--for', '20ms'), needs: ['first'] },
        first: run('--for', '30ms'),
      }),
    )
    const order: string[] = []
    for await (const event of job.events()) {
      if (event.kind === 'task' && (event.phase === 'running' || event.phase === 'completed')) {
        order.push(`${event.task} ${event.phase}`)
      }
    }
    expect(job.phase).toBe('completed')
    expect(order.slice(0, 2)).toEqual(['first running', 'first completed'])
    expect(order.slice(-2)).toEqual(['last running', 'last completed'])
    expect(order.indexOf('last running')).toBeGreaterThan(order.indexOf('left completed'))
  })

  it('are refused when they go round in circles, or need what is no task: before anything runs', async () => {
    const { client, hosts } = await network()
    let began = 0
    hosts[0]!.addEventListener('attempt', () => {
      began += 1
    })
    const circle = graph({
      free: run(),
      a: { ...run(), needs: ['c'] },
      b: { ...run(), needs: ['a'] },
      c: { ...run(), needs: ['b', 'free'] },
    })
    await expect(client.submit({ ...circle, key: 'again' })).rejects.toMatchObject({
      code: 'SPEC_INVALID',
      message: expect.stringMatching(/in a circle: (a → b → c → a|b → c → a → b|c → a → b → c)/),
    })
    await expect(client.submit(graph({ a: { ...run(), needs: ['a'] } }))).rejects.toThrow('a → a')
    await expect(
      client.submit(graph({ free: run(), a: { ...run(), needs: ['nobody'] } })),
    ).rejects.toMatchObject({
      code: 'SPEC_INVALID',
      message: expect.stringContaining("task 'a' needs 'nobody'"),
    })
    expect(client.jobs()).toEqual([])
    expect(began).toBe(0)
    // Its key is free for the graph without the mistake.
    expect(await client.run({ ...graph({ a: run() }), key: 'again' })).toMatchObject({
      phase: 'completed',
    })
  })

  it('never run when one that they need fails, and run when that is tried again', async () => {
    const { client } = await network()
    const flag: TaskSpec = { ...run('--exit', '3') }
    const job = await client.submit({
      ...graph({
        bad: flag,
        after: { ...run(), needs: ['bad'] },
        later: { ...run(), needs: ['after', 'good'] },
        good: run(),
      }),
      retry: { attempts: 1 },
    })
    expect(await job.wait()).toMatchObject({
      phase: 'failed',
      counts: { completed: 1, failed: 1, canceled: 2, queued: 0 },
    })
    const results = await byKey(job)
    expect(results.get('after')).toMatchObject({
      phase: 'canceled',
      error: { code: 'NEED_FAILED', message: expect.stringContaining('bad') },
    })
    expect(results.get('later')?.error?.message).toContain('after')
    expect(await job.retry({ failed: true })).toBe(3)
    expect(await job.wait()).toMatchObject({ counts: { completed: 1, failed: 1, canceled: 2 } })
  })

  it('of a source that is read bit by bit may need what came before', async () => {
    const { client } = await network()
    function* items() {
      for (let n = 0; n < 300; n += 1) yield n
    }
    const job = await client.submit<number>({
      runtime: 'scripted',
      image: 'any',
      tasks: items(),
      task: (n) => ({
        ...run(),
        key: `t${n}`,
        needs: n === 0 ? [] : n === 200 ? ['t299'] : [`t${n - 1}`],
      }),
      resources: { cpus: 0.1 },
    })
    const summary = await job.wait()
    // One needs a later one: it fails, and with it all that come after.
    expect(summary.counts).toMatchObject({ completed: 200, failed: 1, canceled: 99 })
    const failed = (await Array.fromAsync(job.results())).find(({ phase }) => phase === 'failed')
    expect(failed).toMatchObject({ key: 't200', error: { code: 'SPEC_INVALID' } })
  })

  it('go on in another process where they were', async () => {
    const { hosts, addClient } = await network({ hosts: 2 })
    const state = join(tested.dir, 'client')
    const first = await addClient({ state })
    await first.waitForHosts({ min: 2 })
    const tasks: Record<string, TaskSpec> = {}
    for (let n = 0; n < 12; n += 1) {
      tasks[`t${n}`] = {
        ...run('--for', '50ms', '--cat', 'x', '--write', `y=${n}`),
        inputs:
          n === 0 ? { '/in/x': { text: '-' } } : { '/in/x': { task: `t${n - 1}`, path: '/out/y' } },
      }
    }
    const job = await first.submit(graph(tasks))
    await until(() => job.counts.completed >= 3)
    await first.close()
    const second = await addClient({ state })
    const again = await second.job<string>(job.id)
    expect((await again.wait()).phase).toBe('completed')
    const results = await byKey(again)
    expect([...results.values()].every(({ ok, attempts }) => ok && attempts === 1)).toBe(true)
    expect(results.get('t11')?.stdoutTail).toBe('10')
    await until(() => hosts.every((host) => host.attempts().length === 0))
  })
})

describe('what a task takes of another', () => {
  const text = 'x'.repeat(3 * MiB)

  it('goes from host to host, and past the client', async () => {
    const { client, hosts } = await network({
      hosts: [
        { share: { cpus: 1, memory: '1GiB', disk: '1GiB' } },
        { share: { cpus: 1, memory: '1GiB', disk: '1GiB' } },
      ],
    })
    // The second one cannot be where the first one is.
    const only = [hosts[0]!.peerId, hosts[1]!.peerId]
    const job = await client.submit({
      ...graph({
        map1: run('--for', '50ms', '--write', 'parts/a=A', '--write', 'other=1'),
        map2: run('--for', '50ms', '--write', 'parts/b=B', '--write', 'other=2'),
        reduce: {
          ...run('--cat', '1/b', '--copy', '0/a=a', '--cat', 'two'),
          inputs: {
            '/in/0': { task: 'map1', path: '/out/parts' },
            '/in/1': { task: 'map2', path: '/out/parts' },
            '/in/two': { task: 'map2', path: '/out/other' },
          },
          outputs: ['/out/nothing*', '/out/a'],
        },
      }),
      hosts: { only, perHost: 1 },
    })
    const failed = await byKey(job)
    expect(failed.get('reduce')).toMatchObject({ ok: false, error: { code: 'OUTPUT_MISSING' } })
    expect(failed.get('map1')?.host).not.toBe(failed.get('map2')?.host)
    expect(failed.get('reduce')?.stdoutTail).toBe('B2')
  })

  it('costs the client nothing', async () => {
    const { client, hosts } = await network({ hosts: 2 })
    const tasks: Record<string, TaskSpec> = {
      reduce: {
        ...run('--cat', 'm0/n', '--cat', 'm7/n'),
        inputs: Object.fromEntries(
          Array.from({ length: 8 }, (_, n) => [`/in/m${n}`, { task: `m${n}`, path: '/out' }]),
        ),
      },
    }
    for (let n = 0; n < 8; n += 1) {
      tasks[`m${n}`] = {
        ...run('--for', '50ms', '--copy', 'big=big', '--write', `n=${n}`),
        inputs: { '/in/big': { text: `${n}${text}` } },
      }
    }
    const job = await client.submit({
      ...graph(tasks),
      streamOutputs: false,
      hosts: { perHost: 4 },
    })
    const summary = await job.wait()
    expect(summary).toMatchObject({ phase: 'completed', counts: { completed: 9 } })
    // Each mapper's input goes up; of the 24 MiB that they write nothing comes down or goes up again.
    expect(summary.bytesDown).toBeLessThan(MiB)
    expect(summary.bytesUp).toBeLessThan(8 * text.length + MiB)
    const results = await byKey(job)
    expect(results.get('reduce')?.stdoutTail).toBe('07')
    const mappers = [...results.values()].filter(({ key }) => key !== 'reduce')
    expect(new Set(mappers.map(({ host }) => host)).size).toBe(2)
    // Nobody needs it any more, and hosts have let go of it.
    await until(() => hosts.every((host) => host.attempts().length === 0))
    await expect(mappers[0]!.outputs.read('n')).rejects.toMatchObject({ code: 'ARTIFACT_MISSING' })
  })

  it('can be read while the job runs, and comes at once when the caller wants it', async () => {
    const { client } = await network({ hosts: 2 })
    const tasks: Record<string, TaskSpec> = {
      a: run('--write', 'x=from a'),
      b: { ...run('--cat', 'x'), inputs: { '/in/x': { task: 'a', path: '/out/x' } } },
    }
    const read = async (result: TaskResult) =>
      new TextDecoder().decode(await result.outputs.read('x'))
    const job = await client.submit(graph(tasks))
    for await (const result of job.results()) {
      if (result.key !== 'a') continue
      expect(result.outputs.files).toEqual([{ path: 'x', size: 6 }])
      expect(await read(result)).toBe('from a')
    }
    const fetched = await client.submit({ ...graph(tasks), fetchOutputs: true })
    await fetched.wait()
    expect(await read((await byKey(fetched)).get('a')!)).toBe('from a')
    expect((await byKey(fetched)).get('b')?.stdoutTail).toBe('from a')
  })

  it('fails the task that takes it when it was not written', async () => {
    const { client } = await network()
    const job = await client.submit(
      graph({
        a: run('--write', 'x=1'),
        b: { ...run(), inputs: { '/in/y': { task: 'a', path: '/out/y' } } },
        c: { ...run('--cat', 'x'), inputs: { '/in/x': { task: 'a', path: '/out/x' } } },
      }),
    )
    const results = await byKey(job)
    expect(results.get('a')?.ok).toBe(true)
    expect(results.get('c')).toMatchObject({ ok: true, stdoutTail: '1' })
    expect(results.get('b')).toMatchObject({
      ok: false,
      error: { code: 'OUTPUT_MISSING', message: expect.stringContaining('/out/y') },
    })
  })

  it('is made again when it is lost with its host', async () => {
    const { client, hosts } = await network({ hosts: 2 })
    const [first, other] = [hosts[0]!, hosts[1]!]
    let choice = first.peerId
    const job = await client.submit({
      hosts: { rank: (offer) => (offer.peerId === choice ? 1 : 0) },
      ...graph({
        a: run('--write', 'x=again'),
        slow: run('--for', '600ms'),
        b: {
          ...run('--cat', 'x'),
          inputs: { '/in/x': { task: 'a', path: '/out/x' } },
          needs: ['slow'],
        },
      }),
    })
    await until(() => job.counts.completed >= 1)
    choice = other.peerId
    // Its host vanishes with it, without a word.
    await first[Symbol.asyncDispose]()
    const results = await byKey(job)
    expect(job.phase).toBe('completed')
    expect(results.get('b')).toMatchObject({ ok: true, stdoutTail: 'again', host: other.peerId })
    expect(results.size).toBe(3)
  })

  it('comes to the client when its host drains, and goes on from there', async () => {
    const { client, hosts } = await network({ hosts: 2 })
    const [first, other] = [hosts[0]!, hosts[1]!]
    let choice = first.peerId
    const job = await client.submit({
      hosts: { rank: (offer) => (offer.peerId === choice ? 1 : 0) },
      ...graph({
        a: run('--write', 'x=kept'),
        slow: run('--for', '500ms'),
        b: {
          ...run('--cat', 'x'),
          inputs: { '/in/x': { task: 'a', path: '/out/x' } },
          needs: ['slow'],
        },
      }),
    })
    await until(() => job.counts.completed >= 1)
    choice = other.peerId
    await first.drain({ deadline: '5s' })
    const results = await byKey(job)
    expect(results.get('a')?.host).toBe(first.peerId)
    expect(results.get('b')).toMatchObject({ ok: true, stdoutTail: 'kept', host: other.peerId })
  })
})
