import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { createLocalNetwork, type LocalNetwork, type LocalNetworkOptions } from '../src/index.ts'

let open: LocalNetwork | undefined

async function network(options: LocalNetworkOptions = {}): Promise<LocalNetwork> {
  open = await createLocalNetwork(options)
  return open
}

/** Waits until something holds; the test's own timeout is the limit. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
}

afterEach(async () => {
  await open?.close()
  open = undefined
})

const scripted = (...command: string[]) => ({ runtime: 'scripted', image: 'any', command })

describe('a job', () => {
  it('runs every task once and brings the outputs home', async () => {
    const { client, hosts } = await network({ hosts: 2 })
    const job = await client.submit({
      ...scripted(
        'run',
        '--stdout',
        'item {{item}} index {{index}}',
        '--write',
        'a/{{item}}.txt=<{{item}}>',
      ),
      tasks: '1-20',
    })
    const seen = new Map<string, string>()
    for await (const result of job.results()) {
      expect(result).toMatchObject({ ok: true, phase: 'completed', exitCode: 0, attempts: 1 })
      expect(result.stdoutTail).toBe(`item ${result.key} index ${result.index}`)
      seen.set(
        result.key,
        new TextDecoder().decode(await result.outputs.read(`a/${result.key}.txt`)),
      )
    }
    expect(seen.size).toBe(20)
    expect(seen.get('7')).toBe('<7>')
    expect(job.phase).toBe('completed')
    expect(job.counts).toMatchObject({ completed: 20, failed: 0, queued: 0, running: 0, total: 20 })
    await until(() => hosts.every((host) => host.attempts().length === 0))
  })

  it('hands results out in input order when asked', async () => {
    const { client } = await network()
    const items = [30, 5, 20, 1]
    const order: unknown[] = []
    for await (const result of client.map(items, scripted('run', '--for', '{{item}}ms'))) {
      order.push(result.item)
    }
    expect(order).toEqual(items)
  })

  it('reads generators lazily and takes any number of tasks', async () => {
    const { client } = await network({
      hosts: [{ share: { cpus: 64, memory: '64GiB', disk: '64GiB' } }],
    })
    let produced = 0
    async function* items() {
      for (let n = 0; n < 3000; n += 1) {
        produced += 1
        yield { n }
      }
    }
    const job = await client.submit({
      ...scripted('run', '--stdout', '{{item.n}}'),
      tasks: items(),
    })
    const [first] = await Array.fromAsync(take(job.results(), 1))
    expect(first?.ok).toBe(true)
    expect(produced).toBeLessThan(3000)
    expect((await job.wait()).counts).toMatchObject({ completed: 3000, total: 3000 })
  })

  it('saves outputs below a directory', async () => {
    const { client } = await network()
    const dir = await mkdtemp(join(tmpdir(), 'manyhands-test-'))
    try {
      const job = await client.submit({ ...scripted('run', '--write', 'x/y.txt=z'), tasks: [1] })
      for await (const result of job.results()) await result.outputs.saveTo(dir)
      expect(await readFile(join(dir, 'x/y.txt'), 'utf8')).toBe('z')
    } finally {
      await rm(dir, { recursive: true })
    }
  })

  it('sends inputs, read-only and as they are', async () => {
    const { client } = await network()
    const job = await client.submit({
      ...scripted('run', '--copy', 'in/a.txt=out/b.txt'),
      inputs: { '/in/a.txt': { text: 'hello' } },
      tasks: [1],
    })
    for await (const result of job.results()) {
      expect(result.error).toBeUndefined()
      expect(new TextDecoder().decode(await result.outputs.read('b.txt'))).toBe('hello')
    }
    expect(job.progress).toMatchObject({ bytesUp: 5 })
    // The same content again: nothing travels.
    const again = await client.submit({
      ...scripted('run', '--copy', 'in/other.txt=out/b.txt'),
      inputs: { '/in/other.txt': { text: 'hello' } },
      tasks: '1-3',
    })
    await again.wait()
    expect(again.progress).toMatchObject({ bytesUp: 0, bytesDown: 0, completed: 3 })
  })

  it('gives each task its own command, environment and inputs', async () => {
    const { client } = await network()
    const job = await client.submit<string>({
      runtime: 'scripted',
      image: 'any',
      tasks: ['a', 'b'],
      task: (item) => ({
        key: `key-${item}`,
        command: ['run', '--copy', 'in/t=out/t'],
        inputs: { '/in/t': { text: item.repeat(3) } },
      }),
    })
    const outputs: Record<string, string> = {}
    for await (const result of job.results()) {
      outputs[result.key] = new TextDecoder().decode(await result.outputs.read('t'))
    }
    expect(outputs).toEqual({ 'key-a': 'aaa', 'key-b': 'bbb' })
  })
})

describe('failure', () => {
  it('is tried again three times when it is the task’s own, and told with all details', async () => {
    const { client } = await network({ hosts: 2 })
    const job = await client.submit({
      ...scripted('run', '--exit', '3', '--stderr', 'broken'),
      tasks: ['x'],
    })
    const [result] = await Array.fromAsync(job.results())
    expect(result).toMatchObject({
      ok: false,
      phase: 'failed',
      exitCode: 3,
      attempts: 3,
      stderrTail: 'broken',
      error: { code: 'TASK_FAILED', blame: 'task' },
    })
    expect(job.phase).toBe('failed')
    await expect(
      client.run({ ...scripted('run', '--exit', '1'), tasks: [1], retry: { attempts: 1 } }),
    ).rejects.toMatchObject({
      name: 'JobFailedError',
      code: 'JOB_FAILED',
      details: { counts: { failed: 1 } },
    })
  })

  it('tells out-of-memory and time-outs apart', async () => {
    const { client } = await network()
    const run = async (extra: object, ...command: string[]) => {
      const job = await client.submit({
        ...scripted(...command),
        ...extra,
        tasks: [1],
        retry: { attempts: 1 },
      })
      return (await Array.fromAsync(job.results()))[0]
    }
    expect(await run({}, 'run', '--oom')).toMatchObject({ oom: true, error: { code: 'TASK_OOM' } })
    expect(await run({ timeout: '100ms' }, 'run', '--hang')).toMatchObject({
      timedOut: true,
      error: { code: 'TASK_TIMEOUT' },
    })
  })

  it('counts a declared output that is missing', async () => {
    const { client } = await network()
    const job = await client.submit({
      ...scripted('run', '--write', 'a.txt=1'),
      outputs: ['/out/a.txt', '/out/b.txt'],
      tasks: [1],
      retry: { attempts: 1 },
    })
    const [result] = await Array.fromAsync(job.results())
    expect(result).toMatchObject({ ok: false, error: { code: 'OUTPUT_MISSING' } })
    expect(result?.error?.message).toContain('/out/b.txt')
  })

  it('refuses outputs with links', async () => {
    const { client } = await network()
    const job = await client.submit({
      ...scripted('run', '--link', 'evil=/etc/passwd'),
      tasks: [1],
      retry: { attempts: 1 },
    })
    const [result] = await Array.fromAsync(job.results())
    expect(result).toMatchObject({ ok: false, error: { code: 'OUTPUT_UNSAFE' } })
  })

  it('ends a job whose image no host has, naming the image', async () => {
    const { client } = await network({ hosts: 2 })
    const job = await client.submit({ runtime: 'scripted', image: 'missing', tasks: '1-3' })
    const summary = await job.wait()
    expect(summary).toMatchObject({ phase: 'failed', error: { code: 'IMAGE_NOT_FOUND' } })
    expect(summary.counts).toMatchObject({ failed: 3 })
  })

  it('does not try again what cannot get better', async () => {
    const { client } = await network()
    const job = await client.submit({ runtime: 'scripted', image: 'broken', tasks: [1] })
    const [result] = await Array.fromAsync(job.results())
    expect(result).toMatchObject({ attempts: 1, error: { code: 'IMAGE_INVALID' } })
  })

  it('goes elsewhere when the validate hook refuses, at the host’s expense', async () => {
    const { client } = await network({ hosts: 2 })
    const refused = new Set<string>()
    const job = await client.submit({
      ...scripted('run'),
      tasks: [1],
      validate: (result) => {
        if (refused.size > 0) return
        refused.add(result.host!)
        throw new Error('not good enough')
      },
    })
    const [result] = await Array.fromAsync(job.results())
    expect(result?.ok).toBe(true)
    expect(refused.has(result!.host!)).toBe(false)
  })

  it('waits for hosts as long as it was told, and says what it saw', async () => {
    const { client } = await network()
    await expect(
      client.run({ ...scripted('run'), runtime: 'other', tasks: [1], hosts: { wait: '300ms' } }),
    ).rejects.toMatchObject({ code: 'NO_HOSTS', message: expect.stringContaining('runtime other') })
  })
})

describe('who waits for hosts', () => {
  it('is told when the client is closed', async () => {
    const { client } = await network()
    const changes = client.watchHosts()[Symbol.asyncIterator]()
    expect((await changes.next()).value).toMatchObject({ kind: 'found' })
    const more = changes.next()
    const waiting = client.waitForHosts({ min: 2, timeout: '1h' })
    await Promise.all([client.close(), expect(waiting).rejects.toMatchObject({ code: 'CLOSED' })])
    await more
    expect((await changes.next()).done).toBe(true)
  })

  it('is told when its filter throws, at whatever moment', async () => {
    const { client } = await network()
    let asked = 0
    const where = () => {
      asked += 1
      if (asked > 1) throw new RangeError('not again')
      return false
    }
    await expect(client.waitForHosts({ where, timeout: 1 })).rejects.toMatchObject({
      code: 'SPEC_INVALID',
      message: expect.stringContaining('not again'),
    })
  })
})

describe('logs', () => {
  it('bring what tasks wrote, of one task or of all', async () => {
    const { client } = await network()
    const job = await client.submit({
      ...scripted('run', '--stdout', 'I am {{item}}'),
      tasks: '1-3',
    })
    const all = await Array.fromAsync(job.logs({ follow: true }))
    expect(all.map(({ text }) => text).sort()).toEqual(['I am 1', 'I am 2', 'I am 3'])
    const one = await Array.fromAsync(job.logs({ task: '2' }))
    expect(one).toMatchObject([{ task: '2', stream: 'stdout', text: 'I am 2' }])
  })
})

describe('selection', () => {
  it('obeys only, deny, where and rank', async () => {
    const { client, hosts } = await network({
      hosts: [{ labels: { room: 'a' } }, { labels: { room: 'b' } }, { labels: { room: 'c' } }],
    })
    const [a, b, c] = hosts.map((host) => host.peerId) as [string, string, string]
    const used = async (selection: object) => {
      const job = await client.submit({ ...scripted('run'), tasks: '1-6', hosts: selection })
      return new Set((await Array.fromAsync(job.results())).map((result) => result.host))
    }
    expect(await used({ only: [a] })).toEqual(new Set([a]))
    expect((await used({ deny: [a] })).has(a)).toBe(false)
    expect(
      await used({
        where: (offer: { labels: object }) => 'room' in offer.labels && offer.labels.room === 'c',
      }),
    ).toEqual(new Set([c]))
    expect(
      await used({
        rank: (offer: { peerId: string }) => (offer.peerId === b ? 1 : 0),
        perHost: 6,
        only: [b, c],
      }),
    ).toContain(b)
  })

  it('never exceeds perHost and max', async () => {
    const { client, hosts } = await network({ hosts: 3 })
    let most = 0
    let mostHosts = 0
    const job = await client.submit({
      ...scripted('run', '--for', '30ms'),
      tasks: '1-12',
      hosts: { perHost: 2, max: 2 },
    })
    const watch = setInterval(() => {
      const running = hosts.map(
        (host) => host.attempts().filter(({ phase }) => phase === 'running').length,
      )
      most = Math.max(most, ...running)
      mostHosts = Math.max(mostHosts, running.filter((count) => count > 0).length)
    }, 1)
    await job.wait()
    clearInterval(watch)
    expect(most).toBeLessThanOrEqual(2)
    expect(mostHosts).toBeLessThanOrEqual(2)
  })

  it('explains why a task waits', async () => {
    const { client, hosts } = await network({ hosts: 2 })
    const job = await client.submit({
      ...scripted('run'),
      tasks: ['x'],
      hosts: { deny: [hosts[0]!.peerId], where: () => false },
    })
    await until(() => job.counts.queued === 1)
    const verdicts = await job.why('x')
    expect(verdicts.find(({ host }) => host === hosts[0]!.peerId)?.reason).toContain('deny')
    expect(verdicts.find(({ host }) => host === hosts[1]!.peerId)?.reason).toContain('where')
    await job.cancel()
  })
})

describe('the owner', () => {
  it('evicts an attempt; the task moves elsewhere and no retry is used', async () => {
    const { client, hosts } = await network({ hosts: 2 })
    const job = await client.submit({
      ...scripted('run', '--for', '400ms'),
      tasks: ['x'],
      retry: { attempts: 1 },
    })
    await until(() =>
      hosts.some((host) => host.attempts().some(({ phase }) => phase === 'running')),
    )
    const host = hosts.find((one) => one.attempts().length > 0)!
    await host.kill(host.attempts()[0]!.id, 'need my machine')
    const [result] = await Array.fromAsync(job.results())
    const other = hosts.find((one) => one !== host)!
    expect(result).toMatchObject({ ok: true, host: other.peerId })
    const evicted = []
    for await (const event of job.events()) {
      if (event.kind === 'attempt' && event.phase === 'evicted') evicted.push(event)
    }
    expect(evicted).toHaveLength(1)
    expect(evicted[0]).toMatchObject({ by: 'host', reason: 'need my machine', host: host.peerId })
  })

  it('pauses and resumes', async () => {
    const { client, hosts } = await network()
    const [host] = hosts as [(typeof hosts)[number]]
    const job = await client.submit({ ...scripted('run', '--for', '200ms'), tasks: ['x'] })
    await until(() => host.attempts().some(({ phase }) => phase === 'running'))
    const { id } = host.attempts()[0]!
    await host.pause(id)
    expect(host.attempts()[0]).toMatchObject({ phase: 'paused' })
    await expect(host.pause(id)).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    await host.resume(id)
    expect((await job.wait()).phase).toBe('completed')
  })

  it('kills what is paused', async () => {
    const { client, hosts } = await network()
    const [host] = hosts as [(typeof hosts)[number]]
    const job = await client.submit({ ...scripted('run', '--hang'), tasks: ['x'] })
    await until(() => host.attempts().some(({ phase }) => phase === 'running'))
    const { id } = host.attempts()[0]!
    await host.pause(id)
    await host.kill(id)
    expect(host.attempts().some((attempt) => attempt.id === id && attempt.phase === 'paused')).toBe(
      false,
    )
    await job.cancel()
  })

  it('measures what runs once a second', async () => {
    const { client, hosts } = await network()
    const [host] = hosts as [(typeof hosts)[number]]
    const job = await client.submit({
      ...scripted('run', '--hang', '--memory', '64MiB'),
      tasks: ['x'],
    })
    for await (const sample of host.usage()) {
      expect(sample).toMatchObject({ job: job.id, memory: 64 * 1024 ** 2 })
      break
    }
    await job.cancel()
  })

  it('drains: refuses at once, lets work finish, evicts at the deadline', async () => {
    const { client, hosts } = await network({ hosts: 2 })
    const job = await client.submit({
      ...scripted('run', '--for', '{{item}}ms'),
      tasks: [50, 60_000],
      hosts: { only: [hosts[0]!.peerId] },
    })
    await until(() => hosts[0]!.attempts().filter(({ phase }) => phase === 'running').length === 2)
    const report = await hosts[0]!.drain({ deadline: '300ms' })
    expect(report).toEqual({ completed: 1, evicted: 1 })
    await until(() => job.counts.completed === 1)
    expect(hosts[0]!.offer.draining).toBe(true)
    await job.cancel()
  })

  it('admits by policy and explains every rule', async () => {
    const { client, hosts } = await network({
      hosts: [{ policy: { images: ['good*'], admit: (request) => request.resources.cpus < 2 } }],
    })
    const [host] = hosts as [(typeof hosts)[number]]
    const run = (image: string, cpus: number) =>
      client.run({
        runtime: 'scripted',
        image,
        command: ['run'],
        tasks: [1],
        resources: { cpus },
        hosts: { wait: '200ms' },
      })
    await expect(run('good-1', 1)).resolves.toMatchObject({ phase: 'completed' })
    await expect(run('bad', 1)).rejects.toMatchObject({ code: 'NO_HOSTS' })
    await expect(run('good-1', 3)).rejects.toMatchObject({
      message: expect.stringContaining('admit'),
    })
    const verdicts = await host.explain({
      client: client.peerId,
      runtime: 'scripted',
      image: 'bad',
      resources: { cpus: 64, memoryBytes: 1, diskBytes: 1, gpus: 0, pids: 1 },
      timeoutMs: 0,
      networkProfile: { egress: ['example.org'] },
    })
    const refused = verdicts.filter(({ allowed }) => !allowed).map(({ rule }) => rule)
    expect(refused).toEqual([
      'images',
      'networkProfiles',
      // The scripted runtime could not hold a task to its destinations either.
      'networkProfiles',
      'share',
      'free',
      'admit',
    ])
  })

  it('blocks a client: its work ends, and it is not heard again', async () => {
    const { client, hosts } = await network()
    const [host] = hosts as [(typeof hosts)[number]]
    await client.submit({ ...scripted('run', '--hang'), tasks: ['x'] })
    await until(() => host.attempts().some(({ phase }) => phase === 'running'))
    await host.block(client.peerId)
    expect(host.attempts().some(({ phase }) => phase === 'running')).toBe(false)
    await until(() => client.hosts().length === 0)
  })
})

describe('faults', () => {
  it('a host that vanishes costs nothing but time', async () => {
    const { client, hosts } = await network({ hosts: 2 })
    const job = await client.submit({
      ...scripted('run', '--for', '300ms'),
      tasks: '1-8',
      retry: { attempts: 1 },
    })
    await until(() => hosts[1]!.attempts().some(({ phase }) => phase === 'running'))
    await hosts[1]!.close()
    const summary = await job.wait()
    expect(summary.counts).toMatchObject({ completed: 8, failed: 0 })
  })

  it('cancel ends what runs, at the hosts too', async () => {
    const { client, hosts } = await network({ hosts: 2 })
    const job = await client.submit({ ...scripted('run', '--hang'), tasks: '1-6' })
    await until(() => job.counts.running === 6)
    await job.cancel('changed my mind')
    expect(job.phase).toBe('canceled')
    await until(() => hosts.every((host) => host.attempts().length === 0))
    const results = await Array.fromAsync(job.results())
    expect(results).toHaveLength(6)
    expect(results.every((result) => result.canceled && result.phase === 'canceled')).toBe(true)
  })

  it('an aborted run is canceled', async () => {
    const { client, hosts } = await network()
    const stop = new AbortController()
    const run = client.run({ ...scripted('run', '--hang'), tasks: '1-2' }, { signal: stop.signal })
    await until(() => hosts[0]!.attempts().length === 2)
    stop.abort(new Error('enough'))
    await expect(run).rejects.toThrow('enough')
    await until(() => hosts[0]!.attempts().length === 0)
  })

  it('pausing a job sends nothing more out', async () => {
    const { client } = await network({
      hosts: [{ share: { cpus: 1, memory: '1GiB', disk: '2GiB' } }],
    })
    const job = await client.submit({ ...scripted('run', '--for', '5ms'), tasks: '1-100' })
    await until(() => job.counts.completed >= 3)
    await job.pause()
    await until(() => job.counts.running === 0)
    const { completed } = job.counts
    expect(completed).toBeLessThan(100)
    await job.resume()
    expect((await job.wait()).counts.completed).toBe(100)
  })

  it('a task function that throws fails the job with its words', async () => {
    const { client } = await network()
    const job = await client.submit({
      ...scripted('run'),
      tasks: [1, 2],
      task: () => {
        throw new Error('cannot cut this')
      },
    })
    expect(await job.wait()).toMatchObject({
      phase: 'failed',
      error: { message: expect.stringContaining('cannot cut this') },
    })
  })
})

async function* take<Value>(source: AsyncIterable<Value>, count: number) {
  let taken = 0
  for await (const value of source) {
    yield value
    taken += 1
    if (taken === count) return
  }
}
