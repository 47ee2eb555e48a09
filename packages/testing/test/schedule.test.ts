import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Offer, Runtime } from '@manyhands/core'
import type { Host, HostAttempt, ScheduleOptions } from '@manyhands/host'
import { afterEach, describe, expect, it } from 'vitest'
import {
  createLocalNetwork,
  type LocalHostOptions,
  type LocalNetwork,
  scripted,
} from '../src/index.ts'
import { PlayedSensors } from './played-sensors.ts'

let open: LocalNetwork | undefined
let directory: string | undefined

afterEach(async () => {
  await open?.close()
  open = undefined
  if (directory !== undefined) await rm(directory, { recursive: true, force: true })
  directory = undefined
})

async function lent(schedule: ScheduleOptions, more: LocalHostOptions = {}) {
  const sensors = new PlayedSensors()
  open = await createLocalNetwork({ hosts: [{ schedule, sensors, ...more }] })
  return { sensors, network: open, client: open.client, host: open.hosts[0] as Host }
}

/** Rules are looked at every second: this waits as long as it takes. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 10))
}

/** A change of nothing: the schedule is looked at now. */
const look = (host: Host) => host.setPolicy({})

const work = (...command: string[]) => ({ runtime: 'scripted', image: 'any', command })
const phases = (host: Host) => host.attempts().map(({ phase }) => phase)
const refusals = async (host: Host) => {
  const verdicts = await host.explain({
    client: 'someone',
    runtime: 'scripted',
    image: 'any',
    resources: { cpus: 1, memoryBytes: 1, diskBytes: 1, gpus: 0, pids: 1 },
    timeoutMs: 0,
    networkProfile: 'none',
  })
  return verdicts.filter(({ allowed }) => !allowed)
}

/** Cannot be paused. */
function rigid(): Runtime {
  const runtime = scripted()
  const start = runtime.start.bind(runtime)
  runtime.start = async (...args) => Object.assign(await start(...args), { pause: undefined })
  return runtime
}

describe('a schedule', () => {
  it('pauses what runs while a program of the owner runs, and goes on after it', async () => {
    const { sensors, client, host } = await lent({ pauseWhile: ['Steam'] })
    const job = await client.submit({
      ...work('run', '--for', '2s'),
      tasks: [1],
      timeout: '10s',
    })
    await until(() => phases(host).includes('running'))
    sensors.running = ['bash', 'steam']
    await look(host)
    expect(host.attempts()).toMatchObject([
      { phase: 'paused', reason: 'schedule: steam is running' },
    ])
    expect(host.offer).toMatchObject({
      draining: false,
      free: { cpus: 0, memoryBytes: 0, pids: 0 },
    })
    expect(await refusals(host)).toEqual([
      {
        rule: 'schedule.pauseWhile',
        allowed: false,
        detail: 'steam is running',
        temporary: true,
      },
    ])
    sensors.running = ['bash']
    expect(await job.wait()).toMatchObject({ phase: 'completed' })
    const [result] = await Array.fromAsync(job.results())
    expect(result).toMatchObject({ ok: true, attempts: 1 })
    expect(host.offer.free.cpus).toBe(4)
  })

  it.each<[string, ScheduleOptions, (sensors: PlayedSensors) => void, RegExp]>([
    [
      'hours',
      { hours: 'Mon-Fri 19:00-07:00' },
      (sensors) => (sensors.time = { day: 2, minutes: 12 * 60 + 5 }),
      /^Tue 12:05 is outside of Mon-Fri 19:00-07:00$/,
    ],
    ['onlyWhenIdle', { onlyWhenIdle: '5m' }, (sensors) => (sensors.idle = 12_000), /12s ago.* 5m/],
    ['onlyWhenIdle', { onlyWhenIdle: '5m' }, (sensors) => (sensors.idle = undefined), /not tell/],
    ['notOnBattery', { notOnBattery: true }, (sensors) => (sensors.battery = true), /battery/],
    [
      'notOnBattery',
      { notOnBattery: true },
      (sensors) => (sensors.battery = undefined),
      /not tell/,
    ],
    ['pauseWhile', { pauseWhile: ['x'] }, (sensors) => (sensors.running = undefined), /not tell/],
    [
      'pauseWhile',
      { pauseWhile: ['x'] },
      (sensors) => (sensors.programs = () => Promise.reject(new Error('broken'))),
      /not tell/,
    ],
  ])(
    'refuses for %s with words, and takes work when it is over',
    async (rule, schedule, close, words) => {
      const { sensors, client, host } = await lent(schedule)
      await client.run({ ...work('run'), tasks: [1] })
      const restored = { ...sensors }
      close(sensors)
      await until(() => host.offer.free.cpus === 0)
      expect(await refusals(host)).toMatchObject([
        { rule: `schedule.${rule}`, temporary: true, detail: expect.stringMatching(words) },
      ])
      const job = await client.submit({ ...work('run'), tasks: [1] })
      expect(job.counts.completed).toBe(0)
      Object.assign(sensors, restored)
      expect(await job.wait()).toMatchObject({ phase: 'completed' })
    },
  )

  it('that is closed from the start lends nothing', async () => {
    const sensors = new PlayedSensors()
    sensors.battery = true
    open = await createLocalNetwork({ hosts: [{ schedule: { notOnBattery: true }, sensors }] })
    const [host] = open.hosts as [Host]
    expect(host.offer.free.cpus).toBe(0)
    const job = await open.client.submit({ ...work('run'), tasks: [1] })
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(host.attempts()).toEqual([])
    sensors.battery = false
    expect(await job.wait()).toMatchObject({ phase: 'completed' })
  })

  it('evicts what stands still for too long; the task moves, no retry is used', async () => {
    const { sensors, client, host, network } = await lent({ pauseWhile: ['steam'], evictAfter: 0 })
    const first = { rank: ({ peerId }: Offer) => (peerId === host.peerId ? 1 : 0) }
    const job = await client.submit({
      ...work('run', '--hang'),
      tasks: [1],
      retry: { attempts: 1 },
      hosts: first,
    })
    await until(() => phases(host).includes('running'))
    const reasons: (string | undefined)[] = []
    host.addEventListener('attempt', (event) => {
      const { phase, reason } = (event as CustomEvent<HostAttempt>).detail
      if (phase === 'evicted') reasons.push(reason)
    })
    sensors.running = ['steam']
    await until(() => reasons.length > 0)
    expect(reasons).toEqual(['schedule: steam is running'])
    expect(network.hosts).toHaveLength(1)
    // Back at the same host once it is lent again: the eviction was nobody's failure.
    sensors.running = []
    await until(() => phases(host).includes('running'))
    expect(job.counts.failed).toBe(0)
    await job.cancel()
  })

  it('evicts after the time it was told, and what cannot be paused as well', async () => {
    const { sensors, client, host } = await lent(
      { notOnBattery: true, evictAfter: '1500ms' },
      { runtimes: [rigid()] },
    )
    const job = await client.submit({ ...work('run', '--hang'), tasks: [1] })
    await until(() => phases(host).includes('running'))
    const seen: string[] = []
    host.addEventListener('attempt', (event) => {
      const { phase, reason } = (event as CustomEvent<HostAttempt>).detail
      seen.push(`${phase} ${reason ?? ''}`)
    })
    sensors.battery = true
    await until(() => host.offer.free.cpus === 0)
    // Until then it goes on: it cannot be paused.
    expect(phases(host)).toEqual(['running'])
    await until(() => seen.some((line) => line.startsWith('evicted')))
    expect(seen).toContain('evicted schedule: runs on its battery, for longer than 2s')
    expect(seen.filter((line) => line.startsWith('paused'))).toEqual([])
    await job.cancel()
  })

  it('does not undo the owner’s pause, nor the owner the schedule’s', async () => {
    const { sensors, client, host } = await lent({ pauseWhile: ['steam'] })
    const job = await client.submit({ ...work('run', '--hang'), tasks: '1-2' })
    await until(() => phases(host).filter((phase) => phase === 'running').length === 2)
    const [mine, other] = host.attempts().map(({ id }) => id) as [string, string]
    const phaseOf = (id: string) => host.attempts().find((attempt) => attempt.id === id)?.phase
    await host.pause(mine, 'I want it quiet')
    sensors.running = ['steam']
    await until(() => phaseOf(other) === 'paused')
    // Ending the owner's own pause does not start it while the game runs.
    await until(() => host.attempts()[0]?.reason === 'schedule: steam is running')
    await host.resume(mine)
    expect(phaseOf(mine)).toBe('paused')
    await host.pause(mine, 'still')
    sensors.running = []
    await until(() => phaseOf(other) === 'running')
    expect(phaseOf(mine)).toBe('paused')
    await host.resume(mine)
    expect(phaseOf(mine)).toBe('running')
    await job.cancel()
  })

  it('stops the clock of a task that it pauses, and keeps its lease', async () => {
    const { sensors, client, host } = await lent({ pauseWhile: ['steam'] })
    const job = await client.submit({
      ...work('run', '--for', '1500ms'),
      tasks: [1],
      timeout: '2500ms',
    })
    await until(() => phases(host).includes('running'))
    sensors.running = ['steam']
    await look(host)
    // Longer than its time-out and than six heartbeats of 200 ms.
    await new Promise((resolve) => setTimeout(resolve, 2600))
    expect(phases(host)).toEqual(['paused'])
    sensors.running = []
    const [result] = await Array.fromAsync(job.results())
    expect(result).toMatchObject({ ok: true, attempts: 1, timedOut: false })
  })

  it('is changed live: closed at once, and opened again', async () => {
    const { client, host } = await lent({})
    const job = await client.submit({ ...work('run', '--hang'), tasks: [1] })
    await until(() => phases(host).includes('running'))
    await host.setPolicy({ schedule: { hours: '08:00-09:00' } })
    expect(host.attempts()).toMatchObject([
      { phase: 'paused', reason: 'schedule: outside of 08:00-09:00' },
    ])
    await host.setPolicy({ schedule: {} })
    expect(phases(host)).toEqual(['running'])
    await job.cancel()
  })

  it('holds what was on its way when it closed', async () => {
    const { client, host, sensors } = await lent(
      { pauseWhile: ['steam'] },
      {
        runtimes: [slow()],
      },
    )
    const job = await client.submit({ ...work('run', '--hang'), tasks: [1] })
    await until(() => phases(host).includes('staging'))
    sensors.running = ['steam']
    await until(() => host.offer.free.cpus === 0)
    expect(phases(host)).toEqual(['staging'])
    started.resolve()
    await until(() => phases(host).includes('paused'))
    await job.cancel()
  })
})

const started = Promise.withResolvers<void>()
/** Starts when the test says so. */
function slow(): Runtime {
  const runtime = scripted()
  const start = runtime.start.bind(runtime)
  runtime.start = async (...args) => {
    await started.promise
    return start(...args)
  }
  return runtime
}

describe('a quota', () => {
  it('of core-hours holds while attempts run, and after a restart', async () => {
    directory = await mkdtemp(join(tmpdir(), 'manyhands-quota-'))
    const policy = { quotas: { perClient: { cpuHoursPerDay: 0.0005 } } }
    open = await createLocalNetwork({ hosts: [{ policy, state: join(directory, 'host') }] })
    const { client, hosts } = open
    const [host] = hosts as [Host]
    const evicted: HostAttempt[] = []
    host.addEventListener('attempt', (event) => {
      const attempt = (event as CustomEvent<HostAttempt>).detail
      if (attempt.phase === 'evicted') evicted.push(attempt)
    })
    // 1.8 core-seconds at two cores.
    const job = await client.submit({ ...work('run', '--hang', '--cpu', '2'), tasks: [1] })
    await until(() => evicted.length > 0)
    expect(evicted[0]?.reason).toMatch(
      /^quota: used 0\.00\d+ of 0\.0005 core-hours in the last 24 hours$/,
    )
    const request = {
      client: client.peerId,
      runtime: 'scripted',
      image: 'any',
      resources: { cpus: 1, memoryBytes: 1, diskBytes: 1, gpus: 0, pids: 1 },
      timeoutMs: 0,
      networkProfile: 'none' as const,
    }
    const usedUp = { rule: 'quotas.cpuHoursPerDay', allowed: false, temporary: true }
    expect(await host.explain(request)).toContainEqual(expect.objectContaining(usedUp))
    await job.cancel()
    await host.close()
    const again = await open.addHost({ policy, state: join(directory, 'host') })
    expect(await again.explain(request)).toContainEqual(expect.objectContaining(usedUp))
    // Others are not meant.
    expect(
      (await again.explain({ ...request, client: 'another' })).every(({ allowed }) => allowed),
    ).toBe(true)
  })

  it('of transfer ends staging and runs of a client that used it up', async () => {
    open = await createLocalNetwork({
      hosts: [{ policy: { quotas: { perClient: { transferPerDay: '1MiB' } } } }],
    })
    const { client, hosts } = open
    const [host] = hosts as [Host]
    const evicted: HostAttempt[] = []
    host.addEventListener('attempt', (event) => {
      const attempt = (event as CustomEvent<HostAttempt>).detail
      if (attempt.phase === 'evicted') evicted.push(attempt)
    })
    const job = await client.submit({
      ...work('run', '--hang'),
      inputs: { '/in/big': new Uint8Array(2 * 1024 ** 2) },
      tasks: [1],
    })
    await until(() => evicted.length > 0)
    expect(evicted[0]?.reason).toMatch(/^quota: used 2\.0 MiB of 1\.0 MiB transfer/)
    await job.cancel()
  })
})
