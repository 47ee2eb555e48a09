import { createNetwork } from '@manyhands/core'
import { afterEach, describe, expect, it } from 'vitest'
import { createLocalNetwork, type LocalNetwork, type LocalNetworkOptions } from '../src/index.ts'

let open: LocalNetwork | undefined

async function network(options: LocalNetworkOptions = {}): Promise<LocalNetwork> {
  open = await createLocalNetwork(options)
  return open
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const scripted = (...command: string[]) => ({ runtime: 'scripted', image: 'any', command })

afterEach(async () => {
  await open?.close()
  open = undefined
})

describe('a client', () => {
  it('that was idle for longer than a lease loses nothing of its next job', async () => {
    const { client } = await network({
      hosts: [{ policy: { admit: () => pause(300).then(() => true) } }],
      client: { lease: { heartbeat: '100ms' } },
    })
    await client.run({ ...scripted('run'), tasks: [1] })
    await pause(1000)
    const job = await client.submit({ ...scripted('run'), tasks: '1-4' })
    const results = await Array.fromAsync(job.results())
    expect(results.map(({ attempts }) => attempts)).toEqual([1, 1, 1, 1])
    const lost = (await Array.fromAsync(job.events())).filter(
      (event) => event.kind === 'attempt' && event.phase === 'lost',
    )
    expect(lost).toEqual([])
  })

  it('runs any number of jobs one after the other at one host', async () => {
    const { client, hosts } = await network()
    for (let n = 0; n < 300; n += 1) await client.run({ ...scripted('run'), tasks: [n] })
    await until(() => hosts[0]!.attempts().length === 0)
  })

  it('is told when the only host is leaving, instead of waiting for ever', async () => {
    const { client, hosts } = await network()
    await hosts[0]!.drain()
    await expect(
      client.run({ ...scripted('run'), tasks: [1], hosts: { wait: '300ms' } }),
    ).rejects.toMatchObject({ code: 'NO_HOSTS', message: expect.stringContaining('draining') })
  })

  it('sends out what a slow source has given so far', async () => {
    const { client } = await network()
    const first = Promise.withResolvers<void>()
    async function* items() {
      yield 'a'
      // The next item depends on the result of the first.
      await first.promise
      yield 'b'
    }
    const keys: string[] = []
    for await (const result of client.map(items(), scripted('run'))) {
      keys.push(result.key)
      first.resolve()
    }
    expect(keys).toEqual(['a', 'b'])
  })

  it('brings what a broken source had given to its end, and goes on using its hosts', async () => {
    const { client, hosts } = await network()
    async function* items() {
      yield 1
      await until(() => hosts[0]!.attempts().some(({ phase }) => phase === 'running'))
      throw new Error('the list is broken')
    }
    const broken = await client.submit({ ...scripted('run', '--for', '300ms'), tasks: items() })
    expect(await broken.wait()).toMatchObject({
      phase: 'failed',
      counts: { completed: 1, failed: 0, total: 1 },
      error: {
        code: 'SPEC_INVALID',
        message: expect.stringMatching(/after 1 items: the list is broken/),
      },
    })
    await until(() => hosts[0]!.attempts().length === 0)
    expect(await client.run({ ...scripted('run'), tasks: '1-8' })).toMatchObject({
      phase: 'completed',
    })
  })

  it('leaves a host alone that says no, and comes back', async () => {
    let asked = 0
    const { client } = await network({
      hosts: [
        {
          policy: {
            maxAttempts: 1,
            admit: () => {
              asked += 1
              return true
            },
          },
        },
      ],
    })
    const summary = await client.run({ ...scripted('run', '--for', '400ms'), tasks: '1-3' })
    expect(summary.counts.completed).toBe(3)
    // Each round of questions costs both sides a durable write: dozens, not thousands.
    expect(asked).toBeLessThan(100)
  })

  it('does not call the only host a black hole because tasks of its own fail', async () => {
    const { client } = await network()
    const job = await client.submit({
      ...scripted('run', '--exit', '{{item}}'),
      tasks: [1, 2, 3, 0, 0, 0, 4, 0],
    })
    expect(await job.wait()).toMatchObject({ counts: { completed: 4, failed: 4 } })
  })

  it('submits one key once, also at the same moment', async () => {
    const { client } = await network()
    const spec = { ...scripted('run'), tasks: [1], key: 'nightly' }
    const [a, b] = await Promise.all([client.submit(spec), client.submit(spec)])
    expect(a.id).toBe(b.id)
    expect((await client.submit(spec)).id).toBe(a.id)
    await expect(client.submit({ ...spec, tasks: [2] })).rejects.toMatchObject({
      code: 'JOB_CONFLICT',
    })
  })

  it('asks another host when one says that an image is no image', async () => {
    const { client } = await network({ hosts: 2 })
    const job = await client.submit({ runtime: 'scripted', image: 'broken', tasks: [1] })
    const [result] = await Array.fromAsync(job.results())
    expect(result).toMatchObject({ attempts: 2, error: { code: 'IMAGE_INVALID' } })
  })
})

describe('a host', () => {
  it('hands over what is finished before it goes', async () => {
    const { client, hosts } = await network({ hosts: 2 })
    const job = await client.submit({
      ...scripted('run', '--for', '100ms', '--write', 'a.txt={{item}}'),
      tasks: '1-8',
    })
    await until(() => hosts[0]!.attempts().some(({ phase }) => phase === 'running'))
    const report = await hosts[0]!.drain()
    await hosts[0]!.close()
    const results = await Array.fromAsync(job.results())
    const mine = results.filter(({ host }) => host === hosts[0]!.peerId)
    expect(mine).toHaveLength(report.completed)
    expect(results.every(({ attempts }) => attempts === 1)).toBe(true)
  })

  it('keeps nothing of a client that it blocked', async () => {
    const { client, hosts } = await network()
    await client.submit({ ...scripted('run', '--hang'), tasks: '1-3' })
    await until(() => hosts[0]!.attempts().length === 3)
    await hosts[0]!.block(client.peerId)
    expect(hosts[0]!.attempts()).toEqual([])
  })

  it('tells a stranger nothing of other clients’ attempts and does nothing to them', async () => {
    const { client, hosts } = await network()
    const [host] = hosts as [(typeof hosts)[number]]
    const job = await client.submit({ ...scripted('run', '--hang'), tasks: [1] })
    await until(() => host.attempts().some(({ phase }) => phase === 'running'))
    const { id } = host.attempts()[0]!
    await using stranger = await createNetwork({ bootstrap: host.addresses, gossip: false })
    expect(await stranger.call(host.peerId, 'attempt.inventory', {})).toEqual({ attempts: [] })
    await stranger.call(host.peerId, 'attempt.cancel', { ids: [id], reason: 'mine now' })
    await stranger.call(host.peerId, 'attempt.acknowledge', { ids: [id] })
    const spec = {
      runtime: 'scripted',
      image: 'any',
      command: ['run'],
      env: {},
      inputs: [],
      outputs: ['/out/**'],
      resources: { cpus: 1, memoryBytes: 1, diskBytes: 1, gpus: 0, pids: 1 },
      timeoutMs: 0,
      networkProfile: 'none' as const,
    }
    const { answers } = await stranger.call(host.peerId, 'attempt.offer', {
      job: 'j',
      jobName: '',
      spec,
      attempts: [{ id, task: 'x', epoch: 1 }],
    })
    expect(answers).toMatchObject([{ id, accepted: false, error: { code: 'HOST_REFUSED' } }])
    expect(host.attempts()).toMatchObject([{ id, phase: 'running', client: client.peerId }])
    await job.cancel()
  })

  it('refuses ids, paths and images that would leave their place', async () => {
    const { hosts } = await network()
    const [host] = hosts as [(typeof hosts)[number]]
    await using stranger = await createNetwork({ bootstrap: host.addresses, gossip: false })
    const offer = (attempt: object, spec: object = {}) =>
      stranger.call(host.peerId, 'attempt.offer', {
        job: 'j',
        jobName: '',
        spec: {
          runtime: 'scripted',
          image: 'any',
          env: {},
          inputs: [],
          outputs: ['/out/**'],
          resources: { cpus: 1, memoryBytes: 1, diskBytes: 1, gpus: 0, pids: 1 },
          timeoutMs: 0,
          networkProfile: 'none',
          ...spec,
        },
        attempts: [{ id: 'a.1', task: 'x', epoch: 1, ...attempt }],
      } as never)
    const refused = { code: 'PROTOCOL' }
    await expect(offer({ id: '../../etc/x.1' })).rejects.toMatchObject(refused)
    await expect(
      offer({ inputs: [{ path: '/in/../../x', root: `sha256:${'0'.repeat(64)}` }] }),
    ).rejects.toMatchObject(refused)
    await expect(offer({ outputs: ['/etc/*'] })).rejects.toMatchObject(refused)
    await expect(
      offer({}, { resources: { cpus: -1, memoryBytes: 1, diskBytes: 1, gpus: 0, pids: 1 } }),
    ).rejects.toMatchObject(refused)
    expect(host.attempts()).toEqual([])
  })
})
