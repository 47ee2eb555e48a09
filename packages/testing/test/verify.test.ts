import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient, type JobEvent } from '@manyhands/client'
import type { ComparatorFunction, JobSpec, SignedReceipt, TaskResult } from '@manyhands/core'
import { createHost } from '@manyhands/host'
import { describe, expect, it } from 'vitest'
import { createLocalNetwork, type SimulatedHostOptions, scripted } from '../src/index.ts'

const honest = (count: number): SimulatedHostOptions[] => Array.from({ length: count }, () => ({}))
const twin = (hosts: SimulatedHostOptions[], seed = 5) =>
  createLocalNetwork({ hosts, simulate: { seed } })

/** A minute of work. */
const spec = (more: Partial<JobSpec<number>> = {}): JobSpec<number> => ({
  runtime: 'scripted',
  image: 'any',
  command: ['run', '--for', '1m', '--stdout', 'x{{item}}'],
  tasks: '1-40',
  ...more,
})
const isRight = ({ stdoutTail, item }: TaskResult<number>) => stdoutTail === `x${item}`
const all = <Item>(items: AsyncIterable<Item>) => Array.fromAsync(items)
const checksOf = (events: JobEvent[]) => events.filter((event) => event.kind === 'check')

describe('a job that is verified', () => {
  it('hands out nothing that a cheat made up, and gives it nothing more', async () => {
    await using network = await twin([...honest(5), { cheats: 0.3 }])
    const cheat = network.hosts[5]!.peerId
    const job = await network.client.submit(spec({ tasks: '1-120', verify: {} }))
    const events = all(job.events())
    const results = await all(job.results())
    expect(results.map(({ key }) => key).sort()).toEqual(
      Array.from({ length: 120 }, (_, n) => `${n + 1}`).sort(),
    )
    expect(results.filter((result) => !isRight(result))).toEqual([])
    expect(job.phase).toBe('completed')
    expect(job.counts).toMatchObject({ completed: 120, failed: 0, running: 0, queued: 0 })
    const found = checksOf(await events).filter(({ wrong }) => wrong.includes(cheat))
    expect(found.length).toBeGreaterThan(0)
    // It was not asked any more when it had been found, but for what was on its way.
    const at = Date.parse(found[0]!.time) + 1_000
    const sent = (await events).filter(
      (event) => event.kind === 'attempt' && event.phase === 'offered' && event.host === cheat,
    )
    expect(sent.filter(({ time }) => Date.parse(time) > at)).toEqual([])
  })

  it('checks everything of strangers, and less of those who were right so far', async () => {
    await using network = await twin(honest(4))
    const replicas = async (tasks: string) => {
      const job = await network.client.submit(spec({ tasks, verify: {} }))
      const events = all(job.events())
      await all(job.results())
      return (await events).filter(
        (event) => event.kind === 'attempt' && event.phase === 'offered' && event.check,
      ).length
    }
    // All of the first ones, and what is told of hosts lasts from job to job.
    expect(await replicas('1-12')).toBe(12)
    expect(await replicas('1-400')).toBeLessThan(80)
  })

  it('gives a host of which nothing is known no more than it can lose', async () => {
    // It makes its results up, which is a lot faster than to work for a minute.
    await using network = await twin([{ cheats: 1 }, ...honest(4)])
    const cheat = network.hosts[0]!.peerId
    const job = await network.client.submit(spec({ tasks: '1-300', verify: {} }))
    const events = all(job.events())
    const results = await all(job.results())
    expect([results.length, results.every(isRight)]).toEqual([300, true])
    const given = (await events).filter(
      (event) =>
        event.kind === 'attempt' &&
        event.phase === 'offered' &&
        event.host === cheat &&
        !event.check,
    )
    // Ten results, and what it had been given at once with the last of them.
    expect(given.length).toBeLessThan(20)
  })

  it('finds two who always say the same, and takes back what they confirmed to each other', async () => {
    const pair = { cheats: 0.5, cheatsAfter: 20, ring: 'two' }
    await using network = await twin([pair, pair, ...honest(5)])
    const job = await network.client.submit(spec({ tasks: '1-280', verify: {} }))
    const events = all(job.events())
    const results = await all(job.results())
    expect([results.length, results.filter((result) => !isRight(result))]).toEqual([280, []])
    // Whom the two have outvoted is found wrong for a while, and then is not.
    const wrong = new Set(checksOf(await events).flatMap((event) => event.wrong))
    for (const { peerId } of network.hosts.slice(0, 2)) expect(wrong).toContain(peerId)
  })

  it('says who had the same result, and proves it', async () => {
    await using network = await twin(honest(3))
    const job = await network.client.submit(spec({ tasks: '1-3', accept: 'quorum' }))
    for await (const { agreedBy, host, receipt } of job.results()) {
      expect(agreedBy).toHaveLength(2)
      expect(agreedBy).toContain(host)
      expect(receipt?.host).toBe(host)
    }
  })

  it('asks for as many as it was told to', async () => {
    await using network = await twin(honest(5))
    const job = await network.client.submit(
      spec({ tasks: '1-3', accept: 'quorum', verify: { replicas: 4 } }),
    )
    for await (const { agreedBy } of job.results()) expect(new Set(agreedBy).size).toBe(4)
  })

  it('shows no host which of its attempts is a check', async () => {
    await using network = await twin(honest(3))
    const job = await network.client.submit(spec({ tasks: '1-4', accept: 'quorum' }))
    const events = all(job.events())
    await all(job.results())
    // A host knows the job and the key of the task: neither leads to the id of an attempt.
    const guess = (key: string) =>
      createHash('sha256').update(`${job.id}\0${key}`).digest('hex').slice(0, 24)
    const ids = (await events).flatMap((event) =>
      event.kind === 'attempt' ? { id: event.attempt, task: event.task, check: event.check } : [],
    )
    expect(ids.some(({ check }) => check)).toBe(true)
    expect(ids.filter(({ id, task }) => id.startsWith(guess(task)))).toEqual([])
    expect(new Set(ids.map(({ id }) => id.split('.')[1]))).toEqual(new Set(['1']))
  })
})

describe('results are handed out', () => {
  it('when all checks are done, by default', async () => {
    await using network = await twin(honest(4))
    const job = await network.client.submit(spec({ verify: {} }))
    let read = 0
    const reading = (async () => {
      for await (const _ of job.results()) read += 1
    })()
    const events = (async () => {
      for await (const event of job.events()) {
        if (event.kind === 'task') expect(event.result).toBeUndefined()
        if (job.phase === 'running') expect(read).toBe(0)
      }
    })()
    await job.wait()
    await Promise.all([reading, events])
    expect(read).toBe(40)
  })

  it('as their replicas agree, by quorum', async () => {
    await using network = await twin([...honest(5), { cheats: 0.5 }])
    const job = await network.client.submit(spec({ accept: 'quorum' }))
    const phases = new Set<string>()
    const keys = new Set<string>()
    for await (const result of job.results()) {
      phases.add(job.phase)
      keys.add(result.key)
      expect([isRight(result), (result.agreedBy?.length ?? 0) >= 2]).toEqual([true, true])
    }
    expect(keys.size).toBe(40)
    expect(phases).toContain('running')
  })

  it('in the order of the input as well', async () => {
    await using network = await twin([...honest(5), { cheats: 0.5 }])
    const job = await network.client.submit(spec({ accept: 'quorum' }))
    const results = await all(job.results({ ordered: true }))
    expect(results.map(({ key }) => Number(key))).toEqual(
      Array.from({ length: 40 }, (_, n) => n + 1),
    )
    expect(results.every(isRight)).toBe(true)
  })

  it('as they come, provisionally: what was wrong is followed by what is right', async () => {
    await using network = await twin([...honest(5), { cheats: 0.6 }])
    const job = await network.client.submit(spec({ verify: {}, accept: 'provisional' }))
    const last = new Map<string, TaskResult<number>>()
    let wrong = 0
    for await (const result of job.results()) {
      if (!isRight(result)) {
        wrong += 1
        expect(result.provisional).toBe(true)
      }
      last.set(result.key, result)
    }
    expect(wrong).toBeGreaterThan(0)
    expect([...last.values()].filter((result) => !isRight(result))).toEqual([])
    expect(last.size).toBe(40)
  })

  it('not at all when the job was ended before they were checked', async () => {
    await using network = await twin(honest(4))
    const job = await network.client.submit(spec({ tasks: '1-400', verify: {} }))
    for await (const event of job.events()) {
      if (event.kind === 'check') break
    }
    await job.cancel()
    const results = await all(job.results())
    const given = results.filter(({ phase }) => phase === 'completed')
    expect(given.filter(({ agreedBy }) => agreedBy === undefined)).toEqual([])
    expect(job.counts.completed).toBeGreaterThan(given.length)
  })
})

describe('who may vouch for whom', () => {
  const neighbours: SimulatedHostOptions[] = [
    { address: '192.0.2.1' },
    { address: '192.0.2.2' },
    { address: '192.0.2.3' },
  ]

  it('is nobody of the same network: the job says so, and waits no longer than it was told to', async () => {
    await using network = await twin(neighbours)
    const { client } = network
    const job = await client.submit(spec({ tasks: '1-3', verify: {}, hosts: { wait: '5m' } }))
    const [verdict] = await (async () => {
      for await (const event of job.events()) {
        if (event.kind === 'task' && event.phase === 'completed') return await job.why(event.task)
      }
      return []
    })()
    expect(verdict).toMatchObject({ eligible: false })
    expect(verdict?.reason).toMatch(/being checked; (has given|not independent)/)
    const { phase, error } = await job.wait()
    expect([phase, error?.code]).toEqual(['failed', 'NO_HOSTS'])
    expect(error?.message).toContain('not independent of a host that has given a result of it')
    expect((await all(job.results())).filter(({ ok }) => ok)).toEqual([])
  })

  it('is any other computer, where its owner is trusted', async () => {
    await using network = await twin(neighbours)
    const summary = await network.client.run(
      spec({ tasks: '1-3', verify: { apart: 'hosts' }, accept: 'quorum' }),
    )
    expect(summary.phase).toBe('completed')
  })

  it('is a host that comes later', async () => {
    await using network = await twin([
      ...neighbours,
      { address: '198.51.100.1', joinsAfter: '10m' },
    ])
    const job = await network.client.submit(spec({ tasks: '1-3', accept: 'quorum' }))
    expect((await job.wait()).phase).toBe('completed')
    const [late] = network.hosts.slice(3)
    for await (const { agreedBy } of job.results()) expect(agreedBy).toContain(late!.peerId)
  })
})

describe('hosts that listen at real addresses', () => {
  const hostsAt = async (...ips: string[]) => {
    const stack = new AsyncDisposableStack()
    const hosts = await Promise.all(
      ips.map((ip) =>
        createHost({
          runtimes: [scripted()],
          share: { cpus: 2, memory: '2GiB', disk: '2GiB' },
          network: { listen: [`/ip4/${ip}/tcp/0`], gossip: false },
        }),
      ),
    )
    for (const host of hosts) stack.use(host)
    const bootstrap = hosts.flatMap(({ addresses }) => addresses)
    const client = stack.use(await createClient({ network: { bootstrap, gossip: false } }))
    await client.waitForHosts({ min: ips.length })
    return { client, [Symbol.asyncDispose]: () => stack.disposeAsync() }
  }
  const quick = spec({ command: ['run', '--stdout', 'x{{item}}'], tasks: '1-3', accept: 'quorum' })

  it('vouch for each other when they are in two networks', async () => {
    await using network = await hostsAt('127.0.1.1', '127.0.2.1')
    expect((await network.client.run(quick)).phase).toBe('completed')
  })

  it('do not when they are in one, whatever their offers say', async () => {
    await using network = await hostsAt('127.0.1.1', '127.0.1.2')
    const run = network.client.run({ ...quick, hosts: { wait: '1s' } })
    await expect(run).rejects.toMatchObject({ code: 'NO_HOSTS' })
  })
})

describe('where nobody can tell what is right', () => {
  it('a task has failed, with what each host has signed', async () => {
    await using network = await twin(Array.from({ length: 6 }, () => ({ cheats: 1 })))
    const job = await network.client.submit(spec({ tasks: '1-2', verify: {} }))
    expect((await job.wait()).phase).toBe('failed')
    for await (const { error, key } of job.results()) {
      expect([error?.code, error?.message]).toEqual([
        'RESULT_DISPUTED',
        expect.stringContaining(key),
      ])
      const receipts = error?.details?.['receipts'] as SignedReceipt[]
      expect(new Set(receipts.map(({ host }) => host)).size).toBe(5)
    }
    expect(job.counts).toMatchObject({ failed: 2, completed: 0 })
  })

  it.each<[string, ComparatorFunction, string]>([
    ['is not symmetric', (a, b) => (a.host ?? '') < (b.host ?? ''), 'compare(b, a)'],
    [
      'throws',
      () => {
        throw new TypeError('no such file')
      },
      'no such file',
    ],
    ['says something else', (() => 'yes') as never, 'string'],
  ])('a comparator that %s is told with its task, and costs no other', async (_, wrong, words) => {
    await using network = await twin(honest(4))
    const compare: ComparatorFunction = (a, b) => (a.key === '3' ? wrong(a, b) : true)
    const job = await network.client.submit(
      spec({ tasks: '1-6', accept: 'quorum', verify: { compare } }),
    )
    await job.wait()
    const results = await all(job.results())
    const failed = results.filter(({ ok }) => !ok)
    expect(failed.map(({ key, error }) => [key, error?.code])).toEqual([['3', 'COMPARE_INVALID']])
    expect(failed[0]?.error?.message).toContain(words)
    expect(failed[0]?.error?.message).toContain('task 3')
    expect(job.counts).toMatchObject({ completed: 5, failed: 1 })
  })

  it('a result that no other host can repeat is not believed', async () => {
    await using network = await twin([{ cheats: 1 }, ...honest(3)])
    const job = await network.client.submit(
      spec({
        command: ['run', '--exit', '3'],
        tasks: '1-2',
        accept: 'quorum',
        retry: { attempts: 2 },
      }),
    )
    expect((await job.wait()).phase).toBe('failed')
    expect(job.counts).toMatchObject({ failed: 2, completed: 0 })
  })

  it('a failed task can be tried again', async () => {
    await using network = await twin(honest(4))
    let broken = true
    const compare: ComparatorFunction = () => {
      if (broken) throw new RangeError('not yet')
      return true
    }
    const job = await network.client.submit(
      spec({ tasks: '1-3', accept: 'quorum', verify: { compare } }),
    )
    expect((await job.wait()).phase).toBe('failed')
    broken = false
    expect(await job.retry({ failed: true })).toBe(3)
    expect((await job.wait()).phase).toBe('completed')
    expect((await all(job.results())).filter(({ ok }) => ok)).toHaveLength(3)
  })
})

describe('what was made of a wrong result', () => {
  const order = ['first', 'second', 'third']
  const chain: JobSpec<string> = {
    runtime: 'scripted',
    image: 'any',
    tasks: order,
    task: (item) => {
      const before = order[order.indexOf(item) - 1]
      const command = ['run', '--for', '1m', '--stdout', `x${item}`, '--write', `a.txt=${item}`]
      if (before === undefined) return { key: item, command }
      const inputs = { '/in/before': { task: before, path: '/out/a.txt' } }
      return { key: item, command, inputs }
    },
    verify: {},
  }
  const run = async (hosts: SimulatedHostOptions[]) => {
    await using network = await twin(hosts)
    const job = await network.client.submit(chain)
    const events = all(job.events())
    expect((await job.wait()).phase).toBe('completed')
    const results = await all(job.results())
    return {
      results: results.map(({ key, stdoutTail, receipt }) => [key, stdoutTail, receipt?.inputs]),
      wrong: checksOf(await events).flatMap(({ wrong }) => wrong),
    }
  }

  it('is made again', async () => {
    const [right, saved] = [
      await run(honest(4)),
      await run([{ cheats: 1, speed: 50 }, ...honest(4)]),
    ]
    expect(right.wrong).toEqual([])
    expect(saved.wrong.length).toBeGreaterThan(0)
    // What each took is what the right one before it wrote.
    expect(saved.results.sort()).toEqual(right.results.sort())
  })
})

describe('after a restart', () => {
  it('checks go on, and so does what is known of hosts', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'manyhands-verify-'))
    try {
      await using network = await twin([...honest(4), { cheats: 0.4 }])
      const state = join(dir, 'client')
      const first = await network.addClient({ state })
      const { id } = await first.submit(spec({ tasks: '1-60', verify: {} }))
      await network.pass('4m')
      await first.close()
      const second = await network.addClient({ state })
      const job = await second.job<number>(id)
      expect(job.counts.completed).toBeGreaterThan(0)
      expect((await job.wait()).phase).toBe('completed')
      const results = await all(job.results())
      expect(results.length).toBe(60)
      expect(results.filter((result) => !isRight(result))).toEqual([])
      await second.close()
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  })

  it('a comparator of the caller’s has to be given again', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'manyhands-verify-'))
    try {
      await using network = await twin(honest(4))
      const state = join(dir, 'client')
      const verify = { compare: () => true }
      const first = await network.addClient({ state })
      const { id } = await first.submit(spec({ tasks: '1-20', verify }))
      await first.close()
      const second = await network.addClient({ state })
      const job = await second.job<number>(id)
      await expect(job.wait()).rejects.toMatchObject({
        code: 'HOOKS_MISSING',
        message: expect.stringContaining('verify.compare'),
      })
      await second.job<number>(id, { verify })
      expect((await job.wait()).phase).toBe('completed')
      await second.close()
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  })
})

describe('a spec', () => {
  it.each<[string, Partial<JobSpec<number>>, string]>([
    ['one replica', { verify: { replicas: 1 } }, 'spec.verify.replicas'],
    ['six replicas', { verify: { replicas: 6 } }, 'spec.verify.replicas'],
    ['a share of more than all', { verify: { sample: 2 } }, 'spec.verify.sample'],
    ['an unknown comparator', { verify: { compare: 'md5' as never } }, 'spec.verify.compare'],
    ['an unknown field', { verify: { replica: 2 } as never }, 'replica'],
    ['an unknown word', { accept: 'soon' as never }, 'spec.accept'],
    ['parts of a range', { verify: {}, split: { by: 'range' } }, 'split and verify'],
    [
      'parts of a range by quorum',
      { accept: 'quorum', split: { by: 'range' } },
      'split and verify',
    ],
  ])('with %s is refused', async (_, wrong, words) => {
    await using network = await twin(honest(1))
    await expect(network.client.submit(spec(wrong))).rejects.toMatchObject({
      code: 'SPEC_INVALID',
      message: expect.stringContaining(words),
    })
  })

  it('that wants the newest attempt alone takes no other', async () => {
    await using network = await createLocalNetwork({
      // The first one to get the task vanishes for a while, and comes back with its result.
      hosts: [{ speed: 2, cutOffAfter: '10s', backAfter: '3m' }],
      simulate: { seed: 3 },
    })
    const submit = (accept: 'latest' | 'provisional') =>
      network.client.submit(spec({ tasks: '1-1', accept, command: ['run', '--for', '5m'] }))
    const job = await submit('latest')
    network.addHost({ speed: 0.5, joinsAfter: '2m' })
    const [result] = await all(job.results())
    expect(result?.host).toBe(network.hosts[1]!.peerId)
  })
})

const offered = (events: JobEvent[], host: string) =>
  events.filter(
    (event) =>
      event.kind === 'attempt' && event.phase === 'offered' && event.host === host && !event.check,
  ).length

describe('a job that is ended at the moment in which a cheat is found', () => {
  it.each(['job-end', 'quorum'] as const)(
    'hands out nothing that has fallen: %s',
    async (accept) => {
      await using network = await twin([...honest(5), { cheats: 1, cheatsAfter: 20 }])
      const job = await network.client.submit(spec({ tasks: '1-300', verify: {}, accept }))
      for await (const event of job.events()) {
        if (event.kind === 'check' && event.wrong.length > 0) break
      }
      const canceled = job.cancel()
      const results = await all(job.results())
      await canceled
      const given = results.filter(({ ok }) => ok)
      expect(given.filter((result) => !isRight(result) || result.agreedBy === undefined)).toEqual(
        [],
      )
      await network.pass('2m')
      expect(job.counts).toMatchObject({ queued: 0, running: 0 })
      expect(job.counts.completed + job.counts.canceled).toBe(300)
    },
  )
})

describe('nothing waits for ever', () => {
  it('where nobody may vouch for anybody, however much there is to do', async () => {
    const near = [1, 2, 3].map((n) => ({ address: `192.0.2.${n}` }))
    await using network = await twin(near)
    const job = await network.client.submit(
      spec({ tasks: '1-100', verify: {}, hosts: { wait: '5m' } }),
    )
    expect((await job.wait()).error?.code).toBe('NO_HOSTS')
  })

  it('where no two hosts ever agree', async () => {
    await using network = await twin(Array.from({ length: 6 }, () => ({ cheats: 1 })))
    const job = await network.client.submit(spec({ tasks: '1-60', verify: {} }))
    expect((await job.wait()).phase).toBe('failed')
    expect(job.counts).toMatchObject({ failed: 60, completed: 0 })
  })

  it('for a host that never ends with a check', async () => {
    await using network = await twin([...honest(3), { speed: 0.0005 }])
    const job = await network.client.submit(spec({ tasks: '1-30', speculate: true, verify: {} }))
    await job.wait()
    expect([job.phase, network.clock.now() < 3_600_000]).toEqual(['completed', true])
  })
})

describe('what a host may have of a job', () => {
  it('does not grow with what it says that it lends', async () => {
    const share = { cpus: 1000, memory: '4TiB', disk: '100TiB' }
    await using network = await twin([{ cheats: 1, share }, ...honest(4)])
    const job = await network.client.submit(spec({ tasks: '1-300', verify: {} }))
    const events = all(job.events())
    await job.wait()
    expect(offered(await events, network.hosts[0]!.peerId)).toBeLessThan(20)
  })

  it('grows with how often it was right', async () => {
    const given: number[] = []
    for (const cheatsAfter of [1, 5]) {
      await using network = await twin([{ cheats: 1, cheatsAfter, speed: 3 }, ...honest(4)])
      const job = await network.client.submit(spec({ tasks: '1-300', verify: {} }))
      const events = all(job.events())
      await job.wait()
      given.push(offered(await events, network.hosts[0]!.peerId))
    }
    expect(given[0]).toBeLessThan(50)
    expect(given[1]).toBeLessThan(150)
  })
})

describe('a task that fails', () => {
  it('has failed when hosts that are independent say so, not when neighbours do', async () => {
    const liar = (n: number) => ({ failsTasks: 0.7, address: `192.0.2.${n}` })
    await using network = await twin([liar(1), liar(2), liar(3), ...honest(4)])
    const job = await network.client.submit(spec({ tasks: '1-60', accept: 'quorum' }))
    await job.wait()
    expect([job.phase, job.counts.completed]).toEqual(['completed', 60])
  })

  it('is told all the same where it fails everywhere', async () => {
    await using network = await twin(honest(4))
    const job = await network.client.submit(
      spec({ command: ['run', '--exit', '3'], tasks: '1-3', verify: {} }),
    )
    await job.wait()
    const codes = (await all(job.results())).map(({ error }) => error?.code)
    expect(codes).toEqual(['TASK_FAILED', 'TASK_FAILED', 'TASK_FAILED'])
  })

  it('because of a wrong result runs again with the right one, and so does what needed it', async () => {
    let fails = 3
    await using network = await createLocalNetwork({
      hosts: [{ cheats: 1, speed: 50, leavesAfter: '150ms' }, ...honest(5)],
      simulate: {
        seed: 5,
        work: ({ key }) => {
          const script = { for: '1m', stdout: `x${key}`, write: { 'a.txt': key } }
          if (key !== 'second' || fails === 0) return script
          fails -= 1
          return { ...script, for: '1s', exit: 1 }
        },
      },
    })
    const order = ['first', 'second', 'third']
    const job = await network.client.submit<string>({
      runtime: 'scripted',
      image: 'any',
      tasks: order,
      verify: {},
      task: (item) => {
        const before = order[order.indexOf(item) - 1]
        const command = ['run', '--write', `a.txt=${item}`]
        if (before === undefined) return { key: item, command }
        const inputs = { '/in/before': { task: before, path: '/out/a.txt' } }
        return { key: item, command, inputs }
      },
    })
    await job.wait()
    expect([job.phase, job.counts.completed, fails]).toEqual(['completed', 3, 0])
  })
})

describe('a job that is tried again', () => {
  it('while it runs is checked no more than once', async () => {
    await using network = await twin(honest(5))
    const job = await network.client.submit(spec({ accept: 'quorum' }))
    const events = all(job.events())
    await network.pass('90s')
    for (let n = 0; n < 3; n += 1) {
      await job.retry({ failed: true })
      await network.pass('17s')
    }
    await job.wait()
    expect((await events).filter(({ kind }) => kind === 'check')).toHaveLength(40)
    const checks = (await events).filter(
      (event) => event.kind === 'attempt' && event.phase === 'offered' && event.check,
    )
    expect(checks).toHaveLength(40)
  })

  it('after it failed checks nothing that was checked', async () => {
    await using network = await twin(honest(4))
    let broken = true
    const compare: ComparatorFunction = (a) => {
      if (broken && a.key === '3') throw new RangeError('not yet')
      return true
    }
    const job = await network.client.submit(spec({ accept: 'quorum', verify: { compare } }))
    await job.wait()
    broken = false
    await job.retry({ failed: true })
    const events = all(job.events({ since: 0 }))
    await job.wait()
    expect((await events).filter(({ kind }) => kind === 'check').length).toBeLessThanOrEqual(41)
    expect(job.phase).toBe('completed')
  })
})

it('results that may be followed by others have no order', async () => {
  await using network = await twin(honest(3))
  const job = await network.client.submit(spec({ tasks: '1-3', verify: {}, accept: 'provisional' }))
  await expect(all(job.results({ ordered: true }))).rejects.toMatchObject({ code: 'SPEC_INVALID' })
  await job.wait()
})
