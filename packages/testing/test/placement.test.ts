import { join } from 'node:path'
import type { JobSpec, TaskSpec } from '@manyhands/core'
import { expect, it } from 'vitest'
import { scripted } from '../src/index.ts'
import { networkForTests } from './network-for-tests.ts'

const tested = networkForTests()
const { network } = tested
const slow = (ms: number) => ({ runtimes: [scripted({ script: () => ({ for: ms }) })] })
const spec = (tasks: string): JobSpec<number> => ({
  runtime: 'scripted',
  image: 'any',
  command: ['run'],
  tasks,
})

it('prefers hosts that were fast before, also in another process', async () => {
  const { hosts, addClient } = await network({ hosts: [slow(200), slow(5), slow(200)] })
  const state = join(tested.dir, 'client')
  const first = await addClient({ state })
  await first.waitForHosts({ min: 3 })
  await first.run(spec('1-24'))
  await first.close()
  const second = await addClient({ state })
  await second.waitForHosts({ min: 3 })
  const seen: number[] = []
  const where: string[] = []
  for (let n = 0; n < 5; n += 1) {
    const rank = undefined
    for await (const { host } of second.map([n], { ...spec('1'), hosts: { rank } }))
      where.push(host!)
  }
  expect(where).toEqual(Array.from({ length: 5 }, () => hosts[1]!.peerId))
  await second.run({
    ...spec('1'),
    hosts: {
      rank: (offer, history) => {
        if (offer.peerId === hosts[0]!.peerId) seen.push(history.usualMs!, history.reliability)
        return 0
      },
    },
  })
  expect(seen[0]).toBeGreaterThan(100)
  expect(seen[1]).toBeGreaterThan(0.5)
})

it('shares hosts between jobs of a client, however large each is', async () => {
  const { client } = await network({
    hosts: [{ ...slow(30), share: { cpus: 4, memory: '1GiB', disk: '1GiB' } }],
  })
  const resources = { memory: '1MiB', disk: 0 }
  const large = await client.submit({ ...spec('1-400'), resources })
  const reading = large.results()[Symbol.asyncIterator]()
  await reading.next()
  const small = await client.submit({ ...spec('1-8'), resources })
  await small.wait()
  // It did not wait for the other one's end.
  expect(large.counts.completed).toBeLessThan(200)
  await large.cancel()
})

it('takes jobs of a higher priority first', async () => {
  const { client } = await network({
    hosts: [{ ...slow(20), share: { cpus: 1, memory: '1GiB', disk: '1GiB' } }],
  })
  const resources = { memory: '1MiB', disk: 0 }
  const order: string[] = []
  const follow = async (name: string, priority: number) => {
    const job = await client.submit({ ...spec('1-5'), resources, priority, name })
    for await (const _ of job.results()) order.push(name)
  }
  const low = follow('low', -1)
  await Promise.all([low, follow('high', 5), follow('usual', 0)])
  const last = (name: string) => order.lastIndexOf(name)
  expect(last('high')).toBeLessThan(last('usual'))
  expect(last('usual')).toBeLessThan(last('low'))
})

it('runs a job all the same whose ranking of hosts is broken, and says so', async () => {
  const { client } = await network({ hosts: 2 })
  for (const [rank, message] of [
    [() => Number.NaN, 'hosts.rank returned NaN'],
    [
      () => {
        throw new Error('no idea')
      },
      'hosts.rank threw: no idea',
    ],
    [() => 'best' as never, 'hosts.rank returned best'],
  ] as const) {
    const job = await client.submit({ ...spec('1-20'), hosts: { rank } })
    const errors: string[] = []
    for await (const event of job.events()) {
      if (event.kind === 'job' && event.error !== undefined) errors.push(event.error.message)
    }
    expect(job.phase).toBe('completed')
    expect(errors).toEqual([expect.stringContaining(message)])
  }
})

it('sends a task where what it takes of others is', async () => {
  const { client, hosts } = await network({ hosts: 3 })
  const results = new Map<string, string>()
  const job = await client.submit<string>({
    runtime: 'scripted',
    image: 'any',
    tasks: ['a', 'b', 'c', 'd', 'a2', 'b2', 'c2', 'd2'],
    task: (key): TaskSpec =>
      key.length === 1
        ? {
            key,
            command: ['run', '--for', '50ms', '--copy', 'big=big'],
            inputs: { '/in/big': new Uint8Array(2_000_000).fill(key.charCodeAt(0)) },
          }
        : {
            key,
            command: ['run'],
            inputs: { '/in/x': { task: key[0]!, path: '/out' } },
            needs: ['a', 'b', 'c', 'd'],
          },
    resources: { memory: '1MiB', disk: '10MiB' },
  })
  for await (const { key, host } of job.results()) results.set(key, host!)
  expect(new Set(['a', 'b', 'c', 'd'].map((key) => results.get(key))).size).toBeGreaterThan(1)
  for (const key of ['a', 'b', 'c', 'd']) expect(results.get(`${key}2`)).toBe(results.get(key))
  expect(hosts).toHaveLength(3)
})
