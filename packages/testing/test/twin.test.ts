import type { JobEvent } from '@manyhands/client'
import type { HostHistory } from '@manyhands/core'
import { describe, expect, it } from 'vitest'
import {
  createLocalNetwork,
  type SimulatedHostOptions,
  type SimulatedNetwork,
  type SimulatedTask,
  type SimulateOptions,
} from '../src/index.ts'

const MINUTE = 60_000
const SPEC = { runtime: 'scripted', image: 'any', command: ['run'] }

function twin(
  hosts: number | SimulatedHostOptions[],
  simulate: SimulateOptions = {},
): Promise<SimulatedNetwork> {
  return createLocalNetwork({ hosts, simulate: { work: () => '1m', ...simulate } })
}

/** What a job tells, all of it, and when the last of it was on the network's clock. */
async function told(network: SimulatedNetwork, tasks: string): Promise<JobEvent[]> {
  const job = await network.client.submit({ ...SPEC, tasks })
  const events: JobEvent[] = []
  for await (const event of job.events({ since: 0 })) {
    if (event.kind !== 'progress') events.push(event)
  }
  return events
}

/** Which host did how many, and that each task came once. */
async function completedAt(network: SimulatedNetwork, tasks: number): Promise<Map<string, number>> {
  const job = await network.client.submit({ ...SPEC, tasks: `1-${tasks}` })
  const keys = new Set<string>()
  const byHost = new Map<string, number>()
  for await (const result of job.results()) {
    expect(result.error).toBeUndefined()
    expect(keys.has(result.key)).toBe(false)
    keys.add(result.key)
    byHost.set(result.host!, (byHost.get(result.host!) ?? 0) + 1)
  }
  expect(keys.size).toBe(tasks)
  expect((await job.wait()).phase).toBe('completed')
  return byHost
}

async function makespan(network: SimulatedNetwork, tasks: string): Promise<number> {
  const begunAt = network.clock.now()
  await network.client.run({ ...SPEC, tasks })
  return network.clock.now() - begunAt
}

describe('local twin', () => {
  it('runs the same twice: every event, id, time and receipt', async () => {
    const run = async (seed: number) => {
      await using network = await twin(
        [{ speed: 2, failsTasks: 0.1 }, { speed: 0.7, refuses: 0.3 }, {}],
        {
          seed,
          jitter: '30ms',
          loss: 0.05,
          duplicates: 0.05,
          churn: { crashEvery: '10m', freezeEvery: '15m', cutOffEvery: '15m', backAfter: '1m' },
        },
      )
      return await told(network, '1-150')
    }
    const first = await run(3)
    expect(first.filter(({ kind }) => kind === 'attempt').length).toBeGreaterThan(150)
    expect(await run(3)).toEqual(first)
    expect(await run(4)).not.toEqual(first)
  })

  it('takes half the time at twice the speed', async () => {
    const work = () => '10m'
    await using slow = await twin([{ speed: 1 }], { work })
    await using fast = await twin([{ speed: 2 }], { work })
    const [slowMs, fastMs] = [await makespan(slow, '1-40'), await makespan(fast, '1-40')]
    // Ten rounds of four; what a round costs beside its work is a few ways over the network.
    expect(slowMs).toBeGreaterThanOrEqual(100 * MINUTE)
    expect(slowMs).toBeLessThan(101 * MINUTE)
    expect(fastMs).toBeGreaterThanOrEqual(50 * MINUTE)
    expect(fastMs).toBeLessThan(51 * MINUTE)
  })

  it('stands still while nobody waits for it', async () => {
    await using network = await twin(1)
    const job = await network.client.submit({ ...SPEC, tasks: '1-4' })
    const before = network.clock.now()
    for (let turn = 0; turn < 100; turn += 1) await new Promise((turned) => setImmediate(turned))
    expect(network.clock.now()).toBe(before)
    await network.pass('30s')
    expect(job.counts).toMatchObject({ running: 4, completed: 0 })
    expect(network.hosts[0]!.attempts().map(({ phase }) => phase)).toEqual(
      Array.from({ length: 4 }, () => 'running'),
    )
    await job.wait()
  })

  it('is quiet with a source that is longer than the line', async () => {
    await using network = await twin([{ share: { cpus: 64, memory: '64GiB' } }])
    expect((await completedAt(network, 1_500)).size).toBe(1)
  })

  it('does the tasks of a frozen host elsewhere, and what it says later changes nothing', async () => {
    await using network = await twin([{ freezesAfter: '30s', thawsAfter: '10m' }, {}])
    const [frozen, other] = network.hosts
    const byHost = await completedAt(network, 40)
    // What it had when it froze is done elsewhere before it thaws, or there when that was quicker.
    expect(byHost.get(other!.peerId)).toBeGreaterThan(20)
    expect(network.clock.now()).toBeLessThan(12 * MINUTE)
    await network.pass('15m')
    expect(frozen!.state).toBe('up')
    expect(frozen!.attempts()).toEqual([])
  })

  it('loses nothing and accepts nothing twice in storms of crashes, cuts and repeats', async () => {
    for (const losesDisk of [false, true]) {
      const hosts = Array.from({ length: 6 }, () => ({ losesDisk }))
      await using network = await twin(hosts, {
        seed: 11,
        // Short enough that none meets three deaths: that would be its own fault.
        work: () => '20s',
        loss: 0.1,
        jitter: '200ms',
        duplicates: 0.2,
        churn: { crashEvery: '8m', cutOffEvery: '8m', freezeEvery: '8m', backAfter: '1m' },
      })
      const events = await told(network, '1-600')
      const lost = events.filter((event) => event.kind === 'attempt' && event.phase === 'lost')
      expect(lost.length).toBeGreaterThan(20)
      const done = events.filter((event) => event.kind === 'task' && event.phase === 'completed')
      expect(done.length).toBe(600)
      expect(new Set(done.map((event) => event.kind === 'task' && event.task)).size).toBe(600)
      expect(events.at(-1)).toMatchObject({ kind: 'job', phase: 'completed' })
    }
  })

  it('fetches what a host had ready before it died', async () => {
    await using network = await twin(1)
    const [host] = network.hosts
    const job = await network.client.submit({ ...SPEC, tasks: '1-4' })
    await network.pass('30s')
    // Cut off, the ends are ready and nobody hears of them; then it dies, and comes back with them.
    host!.cutOff()
    await network.pass('31s')
    expect(host!.attempts().map(({ phase }) => phase)).toEqual(
      Array.from({ length: 4 }, () => 'completed'),
    )
    host!.crash()
    host!.restart()
    host!.back()
    for await (const result of job.results()) expect(result.attempts).toBe(1)
    expect(job.counts.completed).toBe(4)
  })

  it('hears again what was lost on its way', async () => {
    await using network = await twin(1)
    const [host] = network.hosts
    const job = await network.client.submit({ ...SPEC, tasks: '1-4' })
    await network.pass('50s')
    // The ends go out when nothing arrives any more, and go down with the connection.
    host!.cutOff()
    await network.pass('75s')
    expect(job.counts.completed).toBe(0)
    host!.back()
    for await (const result of job.results()) expect(result.attempts).toBe(1)
    expect(job.counts.completed).toBe(4)
  })

  it('begins nothing twice that is asked twice', async () => {
    const begun: string[] = []
    const work = ({ key }: SimulatedTask) => {
      begun.push(key)
      return '1m'
    }
    // Everything comes again after a second, and there would be room for it.
    await using network = await twin([{ share: { cpus: 16, memory: '64GiB' } }], {
      work,
      duplicates: 1,
    })
    const byHost = await completedAt(network, 6)
    expect(byHost.get(network.hosts[0]!.peerId)).toBe(6)
    expect(begun.toSorted()).toEqual(['1', '2', '3', '4', '5', '6'])
  })

  it('knows how far each host is, and may prefer the nearest', async () => {
    await using network = await twin([{ link: { latency: '200ms' } }, { link: { latency: '5ms' } }])
    const { client } = network
    const [far, near] = network.hosts.map(({ peerId }) => peerId)
    const rank = (_: unknown, { rttMs }: HostHistory) => -(rttMs ?? 1_000_000)
    const measured = await client.submit({ ...SPEC, tasks: '1' })
    await measured.wait()
    const verdicts = await measured.why('1')
    const rttOf = (host: string | undefined) => verdicts.find((one) => one.host === host)!.rttMs!
    expect(rttOf(near)).toBeGreaterThan(0)
    expect(rttOf(far) / rttOf(near)).toBeGreaterThan(5)
    const job = await client.submit({ ...SPEC, tasks: '1', hosts: { rank } })
    const [result] = await Array.fromAsync(job.results())
    expect(result!.host).toBe(near)
  })

  it('gives hosts that join late work at once', async () => {
    await using network = await twin([{}, { joinsAfter: '5m' }])
    const late = network.hosts[1]!
    const job = await network.client.submit({ ...SPEC, tasks: '1-80' })
    await network.pass('4m')
    expect(late.state).toBe('away')
    await network.pass('61s')
    expect(late.attempts().length).toBe(4)
    await job.wait()
    expect(network.clock.now()).toBeLessThan(13.5 * MINUTE)
  })

  it('lets a host go that leaves: what it has is done, or evicted at the deadline', async () => {
    await using network = await twin(2)
    const [leaving, hasty] = network.hosts
    const job = await network.client.submit({ ...SPEC, tasks: '1-24' })
    const evicted: string[] = []
    await network.pass('30s')
    leaving!.leave()
    await network.pass('31s')
    expect(leaving!.state).toBe('away')
    network.addHost()
    hasty!.leave({ deadline: '5s' })
    const seen = (async () => {
      for await (const event of job.events({ since: 0 })) {
        if (event.kind === 'attempt' && event.phase === 'evicted') evicted.push(event.host)
      }
    })()
    await job.wait()
    await seen
    expect(evicted).toEqual(Array.from({ length: 4 }, () => hasty!.peerId))
    expect(job.counts.completed).toBe(24)
  })

  it('keeps a black hole from eating a job', async () => {
    await using network = await twin([{ failsTasks: 1 }, {}, {}])
    const byHost = await completedAt(network, 60)
    expect(byHost.has(network.hosts[0]!.peerId)).toBe(false)
  })

  it('never promises more than its share, whoever asks, and is asked again when it refuses', async () => {
    await using network = await twin([{ share: { cpus: 2 }, refuses: 0.5 }])
    const other = await network.addClient()
    const jobs = await Promise.all(
      [network.client, other].map((client) => client.submit({ ...SPEC, tasks: '1-10' })),
    )
    let most = 0
    const stop = network.clock.every(100, () => {
      const running = network.hosts[0]!.attempts().filter(({ phase }) => phase === 'running')
      most = Math.max(most, running.length)
    })
    for (const job of jobs) expect((await job.wait()).counts.completed).toBe(10)
    stop()
    expect(most).toBe(2)
  })

  it('tells results as tasks were scripted: output, exit codes, limits', async () => {
    await using network = await createLocalNetwork({ hosts: 2, simulate: {} })
    const { client } = network
    const run = async (command: string[], more = {}) => {
      const job = await client.submit({
        ...SPEC,
        command: ['run', ...command],
        tasks: '1',
        ...more,
      })
      for await (const result of job.results()) return result
    }
    expect(await run(['--for', '3s', '--stdout', 'item {{item}}', '--stderr', 'hm'])).toMatchObject(
      {
        ok: true,
        exitCode: 0,
        stdoutTail: 'item 1',
        stderrTail: 'hm',
        durationMs: 3_000,
      },
    )
    const retry = { attempts: 1 }
    expect(await run(['--exit', '3'], { retry })).toMatchObject({ ok: false, exitCode: 3 })
    expect(await run(['--oom'], { retry })).toMatchObject({ oom: true })
    expect(await run(['--hang'], { retry, timeout: '1m' })).toMatchObject({
      timedOut: true,
      durationMs: MINUTE,
    })
    expect(await run(['--nonsense'])).toMatchObject({ error: { code: 'COMMAND_INVALID' } })
  })

  it('brings what tasks write, and has it taken by other tasks', async () => {
    const run = async () => {
      await using network = await createLocalNetwork({
        hosts: 3,
        simulate: { seed: 5, jitter: '9ms', work: written },
      })
      const job = await network.client.submit({
        ...SPEC,
        tasks: ['left', 'right', 'both'],
        outputs: ['/out/parts/*'],
        task: (key) => ({
          key,
          ...(key === 'both'
            ? { inputs: { '/in/left': { task: 'left', path: '/out/parts/one' } }, needs: ['right'] }
            : {}),
        }),
      })
      const read: string[] = []
      for await (const result of job.results()) {
        expect(result.error).toBeUndefined()
        read.push(Buffer.from(await result.outputs.read('parts/one')).toString())
      }
      const events: JobEvent[] = []
      for await (const event of job.events({ since: 0 })) events.push(event)
      return { read, events, ms: network.clock.now() }
    }
    const written = ({ key }: SimulatedTask) => ({ for: '1m', write: { 'parts/one': key } })
    const first = await run()
    expect(first.read.toSorted()).toEqual(['both', 'left', 'right'])
    expect(first.ms).toBeGreaterThan(2 * MINUTE)
    expect(first.ms).toBeLessThan(2.1 * MINUTE)
    const log = (of: typeof first) => of.events.map((event) => JSON.stringify(event))
    expect(log(await run())).toEqual(log(first))
  })

  it('continues tasks that ask for it, from what they left, at hosts that come and go', async () => {
    const seen: SimulatedTask[] = []
    await using network = await twin([{ crashesAfter: '90s' }, {}], {
      work: (task) => {
        seen.push(task)
        const step = seen.filter(({ restored }) => restored).length
        const write = { 'state/step': `${step}`, other: 'not part of it' }
        if (task.key === 'same') return { exit: 75 }
        return step < 3 ? { for: '1m', exit: 75, write } : { for: '1m', write: { end: 'end' } }
      },
    })
    const job = await network.client.submit({
      ...SPEC,
      tasks: ['t'],
      retry: { attempts: 1 },
      checkpoint: { paths: ['/out/state/*'], every: '1h', continueCode: 75 },
    })
    const [result] = await Array.fromAsync(job.results())
    expect(result!.error).toBeUndefined()
    expect(result!.timeline!.startedFrom!.bytes).toBe(1)
    expect(result!.receipt!.checkpoint).toBe(result!.timeline!.startedFrom!.root)
    expect(seen[0]!.restored).toBe(false)
    expect(seen.at(-1)!.restored).toBe(true)
    expect(seen.length).toBeGreaterThanOrEqual(4)
    // Where nothing changes, it is no use to go on.
    const same = await network.client.submit({
      ...{ ...SPEC, tasks: ['same'], retry: { attempts: 1 } },
      checkpoint: { paths: ['/out/x'], every: '1h', continueCode: 75 },
    })
    const [failed] = await Array.fromAsync(same.results())
    expect(failed!.error).toMatchObject({ code: 'TASK_FAILED' })
  })

  it('is no success without what a task has to write', async () => {
    await using network = await createLocalNetwork({ hosts: 1, simulate: {} })
    const job = await network.client.submit({ ...SPEC, tasks: '1', outputs: ['/out/frame.png'] })
    for await (const result of job.results()) expect(result.error?.code).toBe('OUTPUT_MISSING')
    expect(job.counts.failed).toBe(1)
  })

  it('has hosts that make results up, output and files, and sign for them', async () => {
    const work = () => ({ for: '1m', stdout: 'true', write: { answer: 'true' } })
    await using network = await twin([{ cheats: 1 }, {}], { work })
    const [cheat] = network.hosts
    const job = await network.client.submit({ ...SPEC, tasks: '1-12' })
    const madeUp = new Set<string>()
    for await (const result of job.results()) {
      const answer = Buffer.from(await result.outputs.read('answer')).toString()
      expect(result.receipt?.host).toBe(result.host)
      expect(answer).toBe(result.stdoutTail)
      if (result.host === cheat!.peerId) madeUp.add(answer)
      else expect(answer).toBe('true')
    }
    expect(madeUp.size).toBeGreaterThan(1)
    expect(madeUp.has('true')).toBe(false)
  })

  it('lets things happen by hand: an eviction, a network that becomes slow', async () => {
    await using network = await twin(2)
    const [slow, other] = network.hosts
    network.at('10s', () => slow!.evict(slow!.attempts()[0]!.id, 'dinner'))
    network.at('20s', () => slow!.link({ latency: '5s' }))
    const events = await told(network, '1-8')
    const evicted = events.find((event) => event.kind === 'attempt' && event.phase === 'evicted')
    expect(evicted).toMatchObject({ host: slow!.peerId, by: 'host', reason: 'dinner' })
    const ends = (host: string) =>
      events
        .filter((event) => event.kind === 'task' && event.result?.host === host)
        .map(({ time }) => Date.parse(time) - Date.UTC(2026, 0, 1))
    // What ran for a minute there is known here five seconds later.
    expect(Math.min(...ends(slow!.peerId))).toBeGreaterThan(65_000)
    expect(Math.min(...ends(other!.peerId))).toBeLessThan(61_000)
    expect(() => slow!.evict('nobody.1', 'why')).toThrow('no attempt nobody.1')
  })

  it('forecasts the end on its own clock', async () => {
    await using network = await twin([{ speed: 2 }, { speed: 0.5 }], { work: () => '4m' })
    const job = await network.client.submit({ ...SPEC, tasks: '1-100' })
    await network.pass('30m')
    const { eta } = job.progress
    const begunAt = network.clock.now()
    await job.wait()
    const tookMs = network.clock.now() - begunAt
    expect(eta).toBeGreaterThan(0.85 * tookMs)
    expect(eta).toBeLessThan(1.15 * tookMs)
  })

  it('waits for inputs as long as they take to come', async () => {
    await using network = await twin([{ link: { bandwidth: 1024 } }], { work: () => 0 })
    const inputs = { '/in/scene': new Uint8Array(60 * 1024) }
    const begunAt = network.clock.now()
    await network.client.run({ ...SPEC, inputs, tasks: '1-8' })
    const tookMs = network.clock.now() - begunAt
    expect(tookMs).toBeGreaterThan(MINUTE)
    // Once, for all of them.
    expect(tookMs).toBeLessThan(1.2 * MINUTE)
  })

  it('runs two clients side by side', async () => {
    await using network = await twin(2)
    const other = await network.addClient()
    await other.waitForHosts({ min: 2 })
    const specs = { ...SPEC, tasks: '1-40' }
    const [one, two] = await Promise.all([network.client.run(specs), other.run(specs)])
    expect([one.counts.completed, two.counts.completed]).toEqual([40, 40])
    expect(other.peerId).not.toBe(network.client.peerId)
  })

  it('says so when no host comes, on its own clock', async () => {
    await using network = await twin([{ joinsAfter: '1h' }])
    const waiting = network.client.waitForHosts({ timeout: '10m' })
    await expect(waiting).rejects.toMatchObject({ code: 'NO_HOSTS' })
    expect(network.clock.now()).toBe(10 * MINUTE)
    await expect(network.client.run({ ...SPEC, tasks: '1' })).rejects.toMatchObject({
      code: 'NO_HOSTS',
    })
  })

  it('names the option that is wrong', async () => {
    const wrong = (hosts: object[], simulate: object) =>
      createLocalNetwork({ hosts, simulate } as never)
    await expect(wrong([], { latency: 'soon' })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(
        "simulate.latency: expected milliseconds or a text such as '30s'",
      ),
    })
    await expect(wrong([{}, { speed: 0 }], {})).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('hosts.1.speed'),
    })
    await expect(wrong([], { latencyMs: 3 })).rejects.toThrow('unknown setting')
    await expect(wrong([], { bandwidth: 0 })).rejects.toThrow('more than nothing')
  })
})
