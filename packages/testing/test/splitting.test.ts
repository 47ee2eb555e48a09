import { join } from 'node:path'
import type { Job } from '@manyhands/client'
import type { JobSpec, TaskResult } from '@manyhands/core'
import { expect, it } from 'vitest'
import { scripted } from '../src/index.ts'
import { networkForTests } from './network-for-tests.ts'

const tested = networkForTests()
const { network } = tested

/** A host that takes so long for each number of a task. */
const pace = (ms: number) => ({
  runtimes: [scripted({ script: ({ command }) => ({ for: ms * Number(command?.at(-1)) }) })],
  share: { cpus: 1, memory: '1GiB', disk: '1GiB' },
})

const job = (tasks: string): JobSpec => ({
  runtime: 'scripted',
  image: 'any',
  command: ['run', '{{item.from}}', '{{item.to}}', '{{item.count}}'],
  tasks,
  split: { by: 'range' },
  resources: { disk: 0 },
})

type Item = { from: number; to: number; step: number; count: number }

/** The numbers that results stand for, in the order of the results. */
function numbersOf(results: TaskResult[]): number[] {
  return results.flatMap(({ item }) => {
    const { from, step, count } = item as Item
    return Array.from({ length: count }, (_, n) => from + n * step)
  })
}

const resultsOf = (of: Job) => Array.fromAsync(of.results())
const sorted = (numbers: number[]) => numbers.toSorted((a, b) => a - b)
const upTo = (n: number) => Array.from({ length: n }, (_, index) => index + 1)
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
}

it('cuts a range so that each number is done once, whatever the hosts', async () => {
  const { client } = await network({ hosts: [pace(1), pace(1), pace(5)] })
  const split = await client.submit(job('1-400,1000-1100x2'))
  const results = await resultsOf(split)
  const expected = [...upTo(400), ...Array.from({ length: 51 }, (_, n) => 1000 + 2 * n)]
  expect(split.phase).toBe('completed')
  expect(sorted(numbersOf(results))).toEqual(expected)
  expect(split.counts).toMatchObject({ completed: 451, queued: 0, running: 0, total: 451 })
  // Far fewer tasks than numbers, and none across a gap of the range.
  expect(results.length).toBeLessThan(250)
  for (const { item, key } of results) {
    const { from, to, step, count } = item as Item
    expect(key).toBe(`${from}-${to}`)
    expect(from + (count - 1) * step).toBe(to)
  }
  // In the order of the input, where that is wanted.
  const ordered = await Array.fromAsync(split.results({ ordered: true }))
  expect(numbersOf(ordered)).toEqual(expected)
})

it('gives faster hosts more of it', async () => {
  const { client, hosts } = await network({ hosts: [pace(1), pace(8)] })
  const split = await client.submit(job('1-1500'))
  const done = new Map<string, number>()
  for (const { host, item } of await resultsOf(split)) {
    done.set(host!, (done.get(host!) ?? 0) + (item as Item).count)
  }
  const [fast, slow] = hosts.map(({ peerId }) => done.get(peerId) ?? 0)
  expect(fast! + slow!).toBe(1500)
  expect(fast!).toBeGreaterThan(3 * slow!)
})

it('lets others take over what a host does not come to an end with', async () => {
  let hung = 0
  const hanging = {
    ...pace(1),
    runtimes: [
      scripted({
        script: ({ command }) => {
          const count = Number(command?.at(-1))
          // It works for a while, and then no more.
          if (hung > 0 || count < 3) return { for: count }
          hung += count
          return { hang: true }
        },
      }),
    ],
  }
  const { client, hosts } = await network({ hosts: [pace(1), hanging] })
  const split = await client.submit(job('1-600'))
  const results = await resultsOf(split)
  expect(split.phase).toBe('completed')
  expect(hung).toBeGreaterThan(2)
  expect(sorted(numbersOf(results))).toEqual(upTo(600))
  // Who hangs is ended.
  await until(() => hosts[1]!.attempts().length === 0)
})

it('goes on in another process with what is left', async () => {
  const { addClient, hosts } = await network({ hosts: [pace(2), pace(2)] })
  const state = join(tested.dir, 'client')
  const first = await addClient({ state })
  await first.waitForHosts({ min: 2 })
  const { id, counts } = await first.submit(job('1-1000'))
  void counts
  const running = await first.job(id)
  await until(() => running.counts.completed > 100)
  await first.close()
  const second = await addClient({ state })
  expect(second.jobs()[0]).toMatchObject({ id, counts: { total: 1000 } })
  const again = await second.job(id)
  const results = await resultsOf(again)
  expect(sorted(numbersOf(results))).toEqual(upTo(1000))
  expect(again.counts).toMatchObject({ completed: 1000, total: 1000 })
  await until(() => hosts.every((host) => host.attempts().length === 0))
})

/** A host on which a part of some numbers fails. */
const failingFor = (...bad: number[]) => ({
  ...pace(1),
  runtimes: [
    scripted({
      script: ({ command }) => {
        const [from, to, count] = command!.slice(-3).map(Number) as [number, number, number]
        return bad.some((n) => from <= n && to >= n) ? { exit: 3 } : { for: count / 10 }
      },
    }),
  ],
})

it('finds what fails, and does the rest', async () => {
  const { client, hosts } = await network({ hosts: [failingFor(77, 500), failingFor(77, 500)] })
  const split = await client.submit({ ...job('1-600'), retry: { attempts: 2 } })
  const results = await resultsOf(split)
  expect(split.phase).toBe('failed')
  const bad = results.filter(({ ok }) => !ok)
  expect(bad.map(({ item }) => item)).toEqual(
    expect.arrayContaining([77, 500].map((n) => ({ from: n, to: n, step: 1, count: 1 }))),
  )
  // Alone it has all its attempts; what it was together with has used up none.
  expect(bad.map(({ attempts, error }) => [attempts, error?.code])).toEqual([
    [2, 'TASK_FAILED'],
    [2, 'TASK_FAILED'],
  ])
  expect(sorted(numbersOf(results))).toEqual(upTo(600))
  expect(split.counts).toMatchObject({ completed: 598, failed: 2, total: 600 })
  await until(() => hosts.every((host) => host.attempts().length === 0))
})

it('does not seek for ever where everything fails', async () => {
  const all = failingFor(...upTo(1500))
  const { client } = await network({ hosts: [{ ...all, share: { ...all.share, cpus: 8 } }] })
  const split = await client.submit({ ...job('1-1500'), retry: { attempts: 1 } })
  const results = await resultsOf(split)
  expect(split.counts).toMatchObject({ failed: 1500, completed: 0 })
  expect(results.length).toBeLessThan(1000)
})

/** Runs items; those that are bad fail their part. */
const itemHost = (...bad: string[]) => ({
  ...pace(1),
  runtimes: [
    scripted({
      script: ({ command }) => {
        const items = JSON.parse(command!.at(-1)!) as string[]
        if (items.some((item) => bad.includes(item))) return { exit: 3 }
        return { for: items.length / 10, cat: ['items.ndjson'] }
      },
    }),
  ],
})
const itemsJob = <Value>(tasks: Iterable<Value> | AsyncIterable<Value>): JobSpec<Value> => ({
  ...job('1'),
  command: ['run', '{{item.items}}'],
  tasks,
  split: { by: 'items' },
})
type Items = Item & { items: unknown[] }

it('splits items as it does ranges, and gives each task its own', async () => {
  const { client } = await network({ hosts: [itemHost(), itemHost()] })
  const items = Array.from({ length: 2500 }, (_, n) => `item ${n}`)
  const split = await client.submit(itemsJob(items))
  const results = await Array.fromAsync(split.results({ ordered: true }))
  expect(split.counts).toMatchObject({ completed: 2500, total: 2500 })
  expect(results.flatMap(({ item }) => (item as unknown as Items).items)).toEqual(items)
  // What it found at /in is what its result stands for.
  const read = results.map(({ stdoutTail }) => stdoutTail)
  for (const [n, { item }] of results.entries()) {
    const lines = (item as unknown as Items).items.map((one) => `${JSON.stringify(one)}\n`).join('')
    expect(lines.endsWith(read[n]!)).toBe(true)
    expect(read[n]!.length).toBeGreaterThan(5)
  }
  expect(results.length).toBeLessThan(400)
})

it('splits a source that ends, finds the bad item, and refuses what has no end in sight', async () => {
  const { client } = await network({ hosts: [itemHost('no 41')] })
  async function* source(upTo: number) {
    for (let n = 0; n < upTo; n += 1) yield `no ${n}`
  }
  const split = await client.submit({ ...itemsJob(source(300)), retry: { attempts: 1 } })
  const results = await resultsOf(split as Job)
  const bad = results.filter(({ ok }) => !ok)
  expect(bad.map(({ key, item }) => [key, (item as Items).items])).toEqual([['41-41', ['no 41']]])
  expect(split.counts).toMatchObject({ completed: 299, failed: 1 })
  await expect(client.submit(itemsJob(source(1_000_001)))).rejects.toMatchObject({ code: 'LIMIT' })
  const none = await client.submit(itemsJob([]))
  expect(await none.wait()).toMatchObject({ phase: 'completed', counts: { total: 0 } })
  const taken = { ...itemsJob(['a']), inputs: { '/in/items.ndjson': { text: '' } } }
  await expect(client.submit(taken)).rejects.toMatchObject({ code: 'SPEC_INVALID' })
})

it('goes on with items in another process', async () => {
  const { addClient } = await network({ hosts: [itemHost(), itemHost()] })
  const state = join(tested.dir, 'client')
  const first = await addClient({ state })
  await first.waitForHosts({ min: 2 })
  const items = Array.from({ length: 4000 }, (_, n) => `item ${n}`)
  const { id } = await first.submit(itemsJob(items))
  const running = await first.job(id)
  await until(() => running.counts.completed > 100)
  await first.close()
  const second = await addClient({ state })
  const again = await second.job(id)
  const results = await Array.fromAsync(again.results({ ordered: true }))
  expect(results.flatMap(({ item }) => (item as Items).items)).toEqual(items)
  await again.wait()
  await second.forget(id)
})

it('lets a program leave the rest of its part to others', async () => {
  const unwilling = {
    ...pace(1),
    runtimes: [
      scripted({
        script: ({ command }) => {
          const [from, to] = [Number(command?.at(-3)), Number(command?.at(-2))]
          // Three numbers, and no more; what it says in between does not count.
          const stdout =
            to - from < 3 ? '' : `manyhands: rest ${to}\nmanyhands: rest ${from + 3}\nthat is all\n`
          return { for: 1, stdout }
        },
      }),
    ],
  }
  const { client } = await network({ hosts: [unwilling, pace(1)] })
  const split = await client.submit(job('1-120,200-300x10'))
  const results = await resultsOf(split)
  expect(split.phase).toBe('completed')
  const expected = [...upTo(120), ...Array.from({ length: 11 }, (_, n) => 200 + 10 * n)]
  expect(sorted(numbersOf(results))).toEqual(expected)
  expect(split.counts).toMatchObject({ completed: 131, total: 131 })
  const ordered = await Array.fromAsync(split.results({ ordered: true }))
  expect(numbersOf(ordered)).toEqual(expected)
})

it('does not believe a program that leaves what it never had', async () => {
  const lying = {
    ...pace(1),
    runtimes: [
      scripted({ script: ({ command }) => ({ stdout: `manyhands: rest ${command?.at(-3)}` }) }),
    ],
  }
  const { client } = await network({ hosts: [lying] })
  const split = await client.submit(job('5-5'))
  const [result] = await resultsOf(split)
  // It was tried as often as any task whose result is no result, and not for ever.
  expect(result).toMatchObject({
    ok: false,
    error: { code: 'DISPATCH_EXHAUSTED', message: expect.stringContaining('rest 5') },
  })
})

it('ends with its job, and refuses what cannot be cut', async () => {
  const { client } = await network({ hosts: [pace(1000)] })
  const split = await client.submit(job('1-100'))
  await until(() => split.counts.running > 0)
  await split.cancel()
  expect(split.counts).toMatchObject({ completed: 0, canceled: 100, queued: 0, running: 0 })
  for (const wrong of [{ tasks: [1, 2] }, { task: () => ({}) }, { split: { by: 'magic' } }]) {
    await expect(client.submit({ ...job('1-9'), ...wrong } as JobSpec)).rejects.toMatchObject({
      code: 'SPEC_INVALID',
    })
  }
})
