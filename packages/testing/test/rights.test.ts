import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Job, JobEvent } from '@manyhands/client'
import { docker } from '@manyhands/docker-runtime'
import type { Host, HostAttempt } from '@manyhands/host'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { engineForTests } from '../../docker-runtime/test/engine-for-tests.ts'
import { createLocalNetwork, type LocalNetwork } from '../src/index.ts'
import { containersOf, removeContainersOf, sh, until } from './docker-for-tests.ts'

// Half a gigabyte is staged beside other tests on two cores.
vi.setConfig({ testTimeout: 120_000 })

const CLIENT = new URL('./programs/client-process.ts', import.meta.url).pathname
const HANG = sh('while :; do sleep 1; done')

let dir: string
let network: LocalNetwork
let host: Host
let children: ChildProcess[]

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'manyhands-test-'))
  children = []
  network = await createLocalNetwork({
    hosts: [{ state: join(dir, 'host'), share: { cpus: 4, memory: '4GiB', disk: '4GiB' } }],
    runtimes: () => [docker()],
  })
  host = network.hosts[0]!
})
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL')
  const { instance } = host
  await network.close()
  await removeContainersOf(instance)
  await rm(dir, { recursive: true, force: true })
})

function attemptIn(phase: HostAttempt['phase']): HostAttempt | undefined {
  return host.attempts().find((attempt) => attempt.phase === phase)
}

async function attemptEvent(
  job: Job<unknown>,
  wanted: (event: JobEvent & { kind: 'attempt' }) => boolean,
): Promise<JobEvent & { kind: 'attempt' }> {
  for await (const event of job.events()) {
    if (event.kind === 'attempt' && wanted(event)) return event
  }
  throw new Error('the job ended without that event')
}

/** A file that takes a moment to travel. */
async function largeFile(): Promise<string> {
  const path = join(dir, 'large')
  await writeFile(path, 'x')
  await truncate(path, 512 * 1024 ** 2)
  return path
}

describe.skipIf(!(await engineForTests()))('the owner of real containers', () => {
  const received = () => host.totals().clients.some(({ bytesIn }) => bytesIn > 0)

  it.for([
    {
      when: 'its inputs are on their way',
      phase: 'staging' as const,
      spec: async () => ({ ...HANG, inputs: { '/in/large': await largeFile() } }),
      ready: received,
    },
    { when: 'its container is being made', phase: 'staging' as const, spec: async () => HANG },
    { when: 'it runs', phase: 'running' as const, spec: async () => HANG },
    {
      when: 'it ignores TERM',
      phase: 'running' as const,
      spec: async () => sh('trap "" TERM; while :; do sleep 1; done'),
    },
    {
      when: 'its outputs are collected',
      phase: 'collecting' as const,
      spec: async () =>
        sh('i=0; while [ $i -lt 400 ]; do head -c 65536 /dev/zero >/out/$i; i=$((i+1)); done'),
    },
  ])('kills an attempt while $when: evicted, gone, no retry used', async (row) => {
    const spec = await row.spec()
    const job = await network.client.submit({ ...spec, tasks: ['x'], retry: { attempts: 1 } })
    await until(
      () => attemptIn(row.phase) !== undefined && (row.ready?.() ?? true),
      `an attempt is ${row.phase}`,
    )
    const { id } = attemptIn(row.phase)!
    const gone = host.kill(id, 'need my machine')
    // Recorded in the same turn, whatever the engine is doing.
    expect(host.attempts().find((attempt) => attempt.id === id)?.reason).toBe('need my machine')
    const told = await attemptEvent(job, ({ attempt, phase }) => {
      return attempt === id && phase === 'evicted'
    })
    expect(told).toMatchObject({ by: 'host', reason: 'need my machine' })
    await gone
    const again = await attemptEvent(job, ({ attempt }) => attempt.endsWith('.2'))
    expect(again.task).toBe('x')
    await job.cancel()
    await until(() => host.attempts().length === 0, 'the client has acknowledged')
    await until(async () => (await containersOf(host.instance)).length === 0, 'nothing is left')
    expect(await readdir(join(dir, 'host', 'attempts'))).toEqual([])
    expect(await readdir(join(dir, 'host', 'inputs')).catch(() => [])).toEqual([])
  })

  it('kills what is paused, and tells why it was paused before', async () => {
    const job = await network.client.submit({ ...HANG, tasks: ['x'] })
    await until(() => attemptIn('running') !== undefined, 'it runs')
    const { id } = attemptIn('running')!
    await host.pause(id, 'a meeting')
    expect(attemptIn('paused')?.reason).toBe('a meeting')
    expect(await attemptEvent(job, ({ phase }) => phase === 'paused')).toMatchObject({
      reason: 'a meeting',
    })
    await host.kill(id, 'enough')
    expect(await attemptEvent(job, ({ phase }) => phase === 'evicted')).toMatchObject({
      reason: 'enough',
    })
    await job.cancel()
  })

  it('kills one of two that wait for the same inputs; the other one gets them', async () => {
    const job = await network.client.submit({
      ...sh('test -s /in/large'),
      inputs: { '/in/large': await largeFile() },
      tasks: ['a', 'b'],
      retry: { attempts: 1 },
    })
    await until(() => host.attempts().length === 2 && received(), 'both are staged')
    const first = host.attempts()[0]!
    await host.kill(first.id)
    const other = await attemptEvent(job, ({ task, phase }) => {
      return task !== first.task && phase !== 'offered' && phase !== 'staging'
    })
    expect(other.attempt).toMatch(/\.1$/)
    expect((await job.wait()).counts).toMatchObject({ completed: 2, failed: 0 })
  })

  it('has all rights with the client gone', async () => {
    const options = { bootstrap: host.addresses, spec: { ...HANG, tasks: '1-3' } }
    const child = spawn(
      process.execPath,
      ['--conditions=@manyhands/source', CLIENT, JSON.stringify(options)],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    children.push(child)
    await once(createInterface({ input: child.stdout }), 'line')
    await until(
      () => host.attempts().filter(({ phase }) => phase === 'running').length === 3,
      'run',
    )
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
    const [a, b, c] = host.attempts().map(({ id }) => id) as [string, string, string]
    await host.pause(a)
    await host.limit(b, { cpus: 0.05, memory: '16MiB' })
    await host.resume(a)
    await host.pause(c)
    await Promise.all([a, b, c].map((id) => host.kill(id)))
    expect(host.attempts().map(({ phase }) => phase)).toEqual(Array(3).fill('evicted'))
    expect(await containersOf(host.instance)).toEqual([])
  })

  it('changes limits within the share, and nothing with a limit that is none', async () => {
    const job = await network.client.submit({
      ...sh('head -c 20000000 /dev/zero | tail -c 20000000 >/out/x; sleep 1000'),
      resources: { cpus: 1, memory: '64MiB', disk: '64MiB' },
      tasks: ['x'],
    })
    await until(() => attemptIn('running') !== undefined, 'it runs')
    const { id } = attemptIn('running')!
    const before = { free: host.offer.free, limits: host.attempts()[0]!.limits }
    const wrong: [Parameters<Host['limit']>[1], string][] = [
      [{ cpus: 0 }, 'USAGE'],
      [{ cpus: -1 }, 'USAGE'],
      [{ cpus: Number.NaN }, 'USAGE'],
      [{ cpus: Number.POSITIVE_INFINITY }, 'USAGE'],
      [{ cpus: '1' as never }, 'USAGE'],
      [{ pids: 1.5 }, 'USAGE'],
      [{ memory: 0 }, 'USAGE'],
      [{ memory: -5 }, 'USAGE'],
      [{ memory: Number.NaN }, 'USAGE'],
      [{ memory: 'plenty' as never }, 'USAGE'],
      [{ memory: null as never }, 'USAGE'],
      [{ cpus: 5 }, 'HOST_BUSY'],
      [{ memory: '5GiB' }, 'HOST_BUSY'],
    ]
    for (const [change, code] of wrong) {
      await expect(host.limit(id, change), JSON.stringify(change)).rejects.toMatchObject({ code })
    }
    await expect(host.limit('no.1', { cpus: 1 })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect({ free: host.offer.free, limits: host.attempts()[0]!.limits }).toEqual(before)
    await host.pause(id)
    await host.limit(id, { cpus: 0.5, memory: '48MiB', pids: 20 })
    await host.resume(id)
    expect(host.attempts()[0]).toMatchObject({
      phase: 'running',
      limits: { cpus: 0.5, memoryBytes: 48 * 1024 ** 2, pids: 20 },
    })
    expect(host.offer.free.cpus).toBe(before.free.cpus + 0.5)
    await job.cancel()
  })

  it('refuses a memory limit below what is in use, and gives the reservation back', async () => {
    const job = await network.client.submit({
      ...sh('(head -c 40000000 /dev/zero; sleep 1000) | tail -c 40000000 >/dev/null'),
      resources: { cpus: 1, memory: '96MiB', disk: '64MiB' },
      tasks: ['x'],
    })
    const holds = () => (host.attempts()[0]?.usage.memory ?? 0) > 35_000_000
    await until(holds, 'the task holds its memory')
    const { id } = host.attempts()[0]!
    const before = host.offer.free
    await expect(host.limit(id, { memory: '16MiB' })).rejects.toMatchObject({ code: 'USAGE' })
    expect(host.offer.free).toEqual(before)
    expect(host.attempts()[0]).toMatchObject({
      phase: 'running',
      limits: { memoryBytes: 96 * 1024 ** 2 },
    })
    await job.cancel()
  })

  it('remembers what was used, per attempt, client and job', async () => {
    const job = await network.client.submit({ ...sh('while :; do :; done'), tasks: ['x'] })
    await until(() => (attemptIn('running')?.usage.cpuMs ?? 0) > 0, 'it is measured')
    const { id } = attemptIn('running')!
    await until(() => host.history(id).length > 1, 'there is a history')
    expect(host.history(id)[0]).toMatchObject({ attempt: id, job: job.id })
    expect(() => host.history('no.1')).toThrow(/no attempt no\.1/)
    await job.cancel()
    await until(() => host.attempts().length === 0, 'it is forgotten')
    const { clients, jobs } = host.totals()
    expect(clients).toMatchObject([{ client: network.client.peerId, live: 0 }])
    expect(clients[0]!.cpuMs).toBeGreaterThan(0)
    expect(jobs).toMatchObject([{ job: job.id, ended: { canceled: 1 } }])
  })
})
