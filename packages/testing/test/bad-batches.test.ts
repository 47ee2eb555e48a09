import type { JobSpec, TaskResult, TaskSpec } from '@manyhands/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createLocalNetwork, type LocalNetwork } from '../src/index.ts'

let network: LocalNetwork
beforeEach(async () => {
  network = await createLocalNetwork({ hosts: 2 })
})
afterEach(() => network.close())

const spec = { runtime: 'scripted', image: 'any', command: ['run'], resources: { cpus: 0.01 } }
const small = { memory: '1MiB', disk: 0, cpus: 0.01 }

/** Runs it to its end; how it ended, and what is wrong with which task. */
async function ended<Item>(given: Partial<JobSpec<Item>>) {
  const job = await network.client.submit({ ...spec, resources: small, ...given } as JobSpec<Item>)
  const results = await Array.fromAsync(job.results())
  const bad = results.filter(({ ok }) => !ok)
  return { job, results, bad, summary: await job.wait() }
}
const codes = (results: TaskResult[]) => results.map(({ key, error }) => [key, error?.code])

describe('one item that is wrong fails as a task, and the others are done', () => {
  it('when the task function throws, or returns nonsense, at item 9,999', async () => {
    const nonsense: [unknown, string][] = [
      [null, 'expected object'],
      ['a text', 'expected object'],
      [Promise.resolve({}), 'returned a promise'],
      [new Date(), 'task(9999)'],
      [{ command: 'run' }, 'task(9999).command'],
      [{ outputs: ['../etc'] }, '/out/'],
      [{ surprise: 1 }, "unknown field 'surprise'"],
      [{ inputs: { '/in/x': { task: 'nobody', path: '/out' } }, needs: [7] }, 'needs'],
    ]
    const late = await ended<number>({
      tasks: Array.from({ length: 10_001 }, (_, n) => n),
      task: (n) => (n === 9999 ? ('nonsense' as TaskSpec) : {}),
    })
    expect(codes(late.bad)).toEqual([['9999', 'SPEC_INVALID']])
    expect(late.bad[0]!.error!.message).toContain('task(9999)')
    expect(late.summary.counts).toMatchObject({ failed: 1, completed: 10_000 })
    for (const [value, message] of nonsense) {
      const { bad, summary } = await ended<number>({
        tasks: [1, 9999, 2],
        task: (n, index) => {
          if (n === 9999 && index === 1 && value === null) throw new Error('no task for it')
          return n === 9999 ? (value as TaskSpec) : {}
        },
      })
      expect(codes(bad)).toEqual([['9999', 'SPEC_INVALID']])
      const said = value === null ? 'task(1) threw: no task for it' : message.replace('9999', '1')
      expect(bad[0]!.error!.message).toContain(said)
      expect(summary).toMatchObject({ phase: 'failed', counts: { completed: 2, failed: 1 } })
    }
  })

  it('when an item cannot be written down', async () => {
    const circle: { self?: unknown } = {}
    circle.self = circle
    const { bad, summary } = await ended({
      tasks: [1, 12n, circle, () => 1, Symbol('s'), 'fine'] as unknown[],
    })
    expect(codes(bad)).toEqual(
      expect.arrayContaining([
        ['12', 'SPEC_INVALID'],
        ['2', 'SPEC_INVALID'],
      ]),
    )
    expect(bad.map(({ error }) => error?.message).join()).toMatch(
      /item 1 cannot be written as JSON/,
    )
    // What JSON leaves out is nothing, as in arrays.
    expect(summary.counts).toMatchObject({ failed: 2, completed: 4 })
  })

  it('when two tasks want the same key', async () => {
    const { results } = await ended<number>({
      tasks: [1, 2, 3],
      task: (n) => ({ key: n === 3 ? 'b' : n === 2 ? 'b' : 'a' }),
    })
    expect(codes(results)).toEqual(
      expect.arrayContaining([
        ['a', undefined],
        ['b', undefined],
        ['b~2', 'SPEC_INVALID'],
      ]),
    )
    // Without a key of their own, items that are equal are told apart.
    const equal = await ended({ tasks: ['x', 'x', 'x'] })
    expect(equal.results.map(({ key }) => key).toSorted()).toEqual(['x', 'x~1', 'x~2'])
  })

  it('when a template names what the item does not have', async () => {
    const { bad, summary } = await ended({
      command: ['run', '--stdout', '{{item.name}}'],
      tasks: [{ name: 'a' }, { nam: 'b' }, { name: 'c' }],
    })
    expect(codes(bad)).toEqual([['1', 'SPEC_INVALID']])
    expect(bad[0]!.error!.message).toContain('{{item.name}}')
    expect(summary.counts).toMatchObject({ completed: 2, failed: 1 })
  })
})

it('a generator without an end that throws: what it gave is done, and the job says what went wrong', async () => {
  async function* items() {
    for (let n = 0; ; n += 1) {
      if (n === 700) throw new Error('the disk with the list is gone')
      yield n
    }
  }
  const { summary, results } = await ended({ tasks: items() })
  expect(results.filter(({ ok }) => ok)).toHaveLength(700)
  expect(summary).toMatchObject({
    phase: 'failed',
    counts: { completed: 700, failed: 0, total: 700 },
    error: { code: 'SPEC_INVALID', message: expect.stringContaining('after 700 items: the disk') },
  })
})

it('a batch of nothing is done at once', async () => {
  for (const tasks of [[], (function* () {})(), new Set<number>()]) {
    const { summary, results } = await ended({ tasks })
    expect(summary).toMatchObject({ phase: 'completed', counts: { total: 0, completed: 0 } })
    expect(results).toEqual([])
  }
})
