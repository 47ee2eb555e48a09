import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type ClientOptions, createClient } from '@manyhands/client'
import type { JobSpec, Offer } from '@manyhands/core'
import { createHost, type Host } from '@manyhands/host'
import { describe, expect, it } from 'vitest'
import { scripted } from '../src/index.ts'
import { LendingForTests, untilHolds } from './lending-for-tests.ts'

const HOST_PROGRAM = new URL('./programs/host-process.ts', import.meta.url).pathname

const tested = new LendingForTests()
const borrowing = (hosts: Host[], options?: ClientOptions) =>
  tested.client('client', hosts, options)
const killedAfter = (
  results: number,
  hosts: Host[],
  spec: Partial<JobSpec>,
  numbers?: { upTo: number } | { length: number },
) => tested.killedAfter(results, 'client', hosts, { spec, ...numbers })

const job = (...command: string[]): Pick<JobSpec, 'runtime' | 'image' | 'command'> => ({
  runtime: 'scripted',
  image: 'any',
  command: ['run', ...command],
})

const numbers = (upTo: number) => Array.from({ length: upTo }, (_, n) => n + 1)

describe('a client process that is killed', () => {
  it('has lost nothing of its job when another one takes it up, and repeats nothing', async () => {
    const { hosts, ran } = await tested.lend(2)
    const spec = { ...job('--for', '100ms', '--write', 'x={{item}}'), tasks: '1-60' }
    const { id, told } = await killedAfter(11, hosts, spec)
    const client = await borrowing(hosts)
    const again = await client.job(id)
    const results = await Array.fromAsync(again.results())
    expect(again.phase).toBe('completed')
    expect(results.map(({ key }) => Number(key)).toSorted((a, b) => a - b)).toEqual(numbers(60))
    // What was told of before comes first, as it was accepted.
    expect(results.slice(0, told.length).map(({ key }) => key)).toEqual(told)
    expect(results.every(({ ok, attempts }) => ok && attempts === 1)).toBe(true)
    expect(new TextDecoder().decode(await results[0]!.outputs.read('x'))).toBe(results[0]!.key)
    // What ran when it was killed was taken up where it ran.
    expect([...ran.values()].every((attempts) => attempts.size === 1)).toBe(true)
    expect(ran.size).toBe(60)
  })

  it('gets what was done while nobody was there', async () => {
    const { hosts, ran } = await tested.lend()
    const { id } = await killedAfter(0, hosts, { ...job('--for', '300ms'), tasks: '1-4' })
    // They may have been sent out before it was killed, or not.
    await untilHolds(() => hosts[0]!.attempts().every(({ phase }) => phase !== 'running'))
    const before = ran.size
    const client = await borrowing(hosts)
    const again = await client.job(id)
    expect(await again.wait()).toMatchObject({ phase: 'completed', counts: { completed: 4 } })
    expect([...ran.values()].every((attempts) => attempts.size === 1)).toBe(true)
    expect(before).toBeLessThanOrEqual(4)
  })

  it('keeps every item of an array that it has taken, though nothing had begun', async () => {
    const { hosts } = await tested.lend()
    const spec = { ...job('--stdout', '{{item}}'), hosts: { only: ['nobody'] } }
    const { id } = await killedAfter(0, hosts, spec, { length: 5000 })
    const client = await borrowing(hosts)
    expect((await client.job(id)).counts).toMatchObject({ queued: 5000, total: 5000 })
    expect(client.jobs()).toMatchObject([{ id, counts: { queued: 5000, total: 5000 } }])
  })

  it('waits for a source that nobody has any more, and goes on when it is given again', async () => {
    const { hosts, ran } = await tested.lend()
    const spec = { ...job('--for', '10ms'), resources: { cpus: 0.1, memory: '16MiB', disk: 0 } }
    const { id } = await killedAfter(5, hosts, spec, { upTo: 1_000_000 })
    const client = await borrowing(hosts)
    const waiting = await client.job<number>(id)
    await expect(waiting.wait()).rejects.toMatchObject({
      code: 'HOOKS_MISSING',
      message: expect.stringContaining('tasks'),
    })
    await expect(Array.fromAsync(waiting.results())).rejects.toMatchObject({
      code: 'HOOKS_MISSING',
    })
    let passedOver = 0
    function* source() {
      for (let n = 1; n <= 2000; n += 1) {
        passedOver += 1
        yield n
      }
    }
    const again = await client.job(id, { tasks: source() })
    const results = await Array.fromAsync(again.results())
    expect(passedOver).toBe(2000)
    expect(results.map(({ item }) => item).toSorted((a, b) => a - b)).toEqual(numbers(2000))
    expect([...ran.values()].every((attempts) => attempts.size === 1)).toBe(true)
  })
})

describe('a job of an earlier client', () => {
  it('takes the result of a host that it had given up before', async () => {
    const listen = { state: join(tested.dir, 'slow'), listen: '/ip4/127.0.0.1/tcp/0' }
    const slow = spawn(
      process.execPath,
      ['--conditions=@manyhands/source', HOST_PROGRAM, JSON.stringify(listen)],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    tested.children.push(slow)
    const [line] = await once(createInterface({ input: slow.stdout }), 'line')
    const { peerId, addresses } = JSON.parse(line)
    // Whoever does it again comes to no end.
    const hanging = await createHost({
      runtimes: [scripted({ script: () => ({ hang: true }) })],
      share: { cpus: 4, memory: '8GiB', disk: '8GiB' },
      network: { listen: ['/ip4/127.0.0.1/tcp/0'], gossip: false },
    })
    tested.closers.push(hanging)
    const network = { bootstrap: [...addresses, ...hanging.addresses], gossip: false }
    const rank = (offer: Offer) => (offer.peerId === peerId ? 1 : 0)
    const first = await borrowing([], { network })
    await first.waitForHosts({ min: 2 })
    const submitted = await first.submit({
      ...job('--for', '2s', '--stdout', 'late'),
      tasks: '1',
      hosts: { rank },
    })
    for await (const event of submitted.events()) {
      if (event.kind === 'attempt' && event.phase === 'running') break
    }
    slow.kill('SIGSTOP')
    await untilHolds(() => hanging.attempts().some(({ phase }) => phase === 'running'))
    await first.close()
    slow.kill('SIGCONT')
    const second = await borrowing([], { network })
    const again = await second.job(submitted.id, { hosts: { rank } })
    expect((await again.wait()).phase).toBe('completed')
    const [result] = await Array.fromAsync(again.results())
    expect(result).toMatchObject({ host: peerId, stdoutTail: 'late' })
    await untilHolds(() => hanging.attempts().length === 0)
  })

  it('goes on after its client was closed, and hosts have kept what they had', async () => {
    const { hosts, ran } = await tested.lend()
    const first = await borrowing(hosts)
    const submitted = await first.submit({ ...job('--for', '400ms'), tasks: '1-6' })
    const reading = submitted.results()[Symbol.asyncIterator]()
    await reading.next()
    await first.close()
    const rest = Array.fromAsync({ [Symbol.asyncIterator]: () => reading })
    await expect(rest).rejects.toMatchObject({ code: 'CLOSED' })
    await expect(submitted.wait()).rejects.toMatchObject({ code: 'CLOSED' })
    const second = await borrowing(hosts)
    expect(second.peerId).toBe(first.peerId)
    const again = await second.job(submitted.id)
    expect((await again.wait()).counts).toMatchObject({ completed: 6 })
    expect([...ran.values()].every((attempts) => attempts.size === 1)).toBe(true)
    await second.close()
    // The third one reads what was accepted by the others.
    const third = await borrowing(hosts)
    const over = await third.job(submitted.id)
    expect(over.phase).toBe('completed')
    expect(await Array.fromAsync(over.results())).toHaveLength(6)
    expect(await over.wait()).toMatchObject({ phase: 'completed' })
  })

  it('is the same job when its key is submitted again, and that brings its functions', async () => {
    const { hosts } = await tested.lend()
    const first = await borrowing(hosts)
    const validated: string[] = []
    const spec: JobSpec<number> = {
      ...job('--for', '200ms'),
      key: 'nightly',
      tasks: '1-8',
      validate: ({ key }) => {
        validated.push(key)
      },
    }
    const { id } = await first.submit(spec)
    await first.close()
    const second = await borrowing(hosts)
    const silent = await second.job(id)
    await expect(silent.wait()).rejects.toMatchObject({ code: 'HOOKS_MISSING' })
    const again = await second.submit(spec)
    expect(again.id).toBe(id)
    expect((await again.wait()).phase).toBe('completed')
    expect(new Set(validated).size).toBe(8)
    await expect(second.submit({ ...spec, command: ['other'] })).rejects.toMatchObject({
      code: 'JOB_CONFLICT',
    })
  })

  it('fails the tasks whose input is not what it was, and no others', async () => {
    const { hosts } = await tested.lend()
    const [a, b] = [join(tested.dir, 'a.txt'), join(tested.dir, 'b.txt')]
    await writeFile(a, 'a')
    await writeFile(b, 'b')
    const first = await borrowing(hosts)
    const { id } = await first.submit({
      ...job('--cat', 'x'),
      tasks: [a, b],
      task: (path) => ({ inputs: { '/in/x': path } }),
      // Nothing is sent out by this process.
      hosts: { only: [hosts[0]!.peerId], where: () => false },
    })
    await first.close()
    await writeFile(b, 'changed')
    const second = await borrowing(hosts)
    const again = await second.job(id, { hosts: { where: () => true } })
    const results = await Array.fromAsync(again.results({ ordered: true }))
    expect(results.map(({ ok, stdoutTail, error }) => [ok, stdoutTail, error?.code])).toEqual([
      [true, 'a', undefined],
      [false, '', 'INPUT_CHANGED'],
    ])
  })

  it('ends with its client when that has no state of its own', async () => {
    const { hosts } = await tested.lend()
    const client = await borrowing(hosts, { state: undefined })
    const submitted = await client.submit({ ...job('--hang'), tasks: '1' })
    await client.close()
    expect(submitted.phase).toBe('canceled')
  })

  it('belongs to one process at a time, which is named', async () => {
    const { hosts } = await tested.lend()
    await borrowing(hosts)
    await expect(createClient({ state: join(tested.dir, 'client') })).rejects.toMatchObject({
      code: 'STATE_LOCKED',
      message: expect.stringContaining(`process ${process.pid}`),
    })
  })

  it('of a journal of the first version is there to be read', async () => {
    const path = join(tested.dir, 'client', 'client.db')
    const { openJournalDatabase } = await import('@manyhands/core')
    const old = openJournalDatabase(
      path,
      await readFile(new URL('./client-journal-1.sql', import.meta.url), 'utf8'),
      1,
    )
    await old.close()
    const { hosts } = await tested.lend()
    const client = await borrowing(hosts)
    expect(client.jobs()).toMatchObject([
      { id: 'old', phase: 'completed', counts: { completed: 1 } },
      { id: 'cut', phase: 'canceled' },
    ])
    const results = await Array.fromAsync((await client.job('old')).results())
    expect(results).toMatchObject([{ key: 'a', item: 'a', ok: true }])
  })
})

describe('failed tasks', () => {
  it('run again when told to, with all their attempts, and the job goes on', async () => {
    const { hosts } = await tested.lend()
    const flag = join(tested.dir, 'flag')
    await writeFile(flag, 'no')
    const client = await borrowing(hosts)
    const failing = await client.submit({
      ...job('--exit', '{{item}}'),
      tasks: [0, 3, 0, 4],
      retry: { attempts: 2 },
    })
    expect(await failing.wait()).toMatchObject({ phase: 'failed', counts: { failed: 2 } })
    expect(await failing.retry({ failed: true })).toBe(2)
    expect(failing.phase).toBe('running')
    expect(await failing.wait()).toMatchObject({
      phase: 'failed',
      counts: { completed: 2, failed: 2, queued: 0 },
    })
    const last = await Array.fromAsync(failing.results())
    expect(last.map(({ key, exitCode }) => [key, exitCode])).toEqual(
      expect.arrayContaining([
        ['0', 0],
        ['3', 3],
        ['4', 4],
      ]),
    )
    expect(last).toHaveLength(4)
  })
})
