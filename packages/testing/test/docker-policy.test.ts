import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Offer } from '@manyhands/core'
import { docker } from '@manyhands/docker-runtime'
import type { Host } from '@manyhands/host'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { engine, engineForTests } from '../../docker-runtime/test/engine-for-tests.ts'
import { createLocalNetwork, type LocalHostOptions, type LocalNetwork } from '../src/index.ts'
import { containersOf, removeContainersOf, sh, until } from './docker-for-tests.ts'
import { PlayedSensors } from './played-sensors.ts'

const HANG = sh('while :; do sleep 1; done')

let dir: string
let network: LocalNetwork
let sensors: PlayedSensors
let instances: string[]
let program: number | undefined

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'manyhands-test-'))
  sensors = new PlayedSensors()
  instances = []
  program = undefined
})
afterEach(async () => {
  if (program !== undefined) process.kill(program, 'SIGKILL')
  await network.close()
  await removeContainersOf(...instances)
  await rm(dir, { recursive: true, force: true })
})

async function lend(...hosts: LocalHostOptions[]): Promise<Host[]> {
  network = await createLocalNetwork({
    hosts: hosts.map((own) => ({ share: { cpus: 2, memory: '1GiB', disk: '4GiB' }, ...own })),
    runtimes: () => [docker()],
  })
  instances = network.hosts.map(({ instance }) => instance)
  return network.hosts
}

/** The state of the one container of a host. */
async function stateOf(host: Host) {
  const [id] = await containersOf(host.instance)
  return id === undefined ? undefined : (await engine.getContainer(id).inspect()).State
}

const phaseOf = (host: Host) => host.attempts()[0]?.phase

describe.skipIf(!(await engineForTests()))('containers obey', () => {
  it('the schedule: frozen while it is closed, thawed when it opens', async () => {
    const [host] = (await lend({ sensors, schedule: { pauseWhile: ['steam'] } })) as [Host]
    const job = await network.client.submit({ ...HANG, tasks: [1] })
    await until(() => phaseOf(host) === 'running', 'it runs')
    const before = (await stateOf(host))!
    expect(before).toMatchObject({ Running: true, Paused: false })
    sensors.running = ['steam']
    await until(async () => (await stateOf(host))?.Paused === true, 'it is frozen')
    await until(() => phaseOf(host) === 'paused', 'it is known to be frozen')
    expect(host.attempts()[0]?.reason).toBe('schedule: steam is running')
    sensors.running = []
    await until(async () => (await stateOf(host))?.Paused === false, 'it is thawed')
    expect(await stateOf(host)).toMatchObject({ Running: true, Pid: before.Pid })
    await job.cancel()
  })

  it.each<[string, LocalHostOptions, (host: Host) => Promise<void> | void, RegExp]>([
    [
      'a changed policy',
      {},
      (host) => host.setPolicy({ policy: { images: ['gromacs:*'] } }),
      /^policy: images: image .*busybox.* is not on the list/,
    ],
    [
      'evictAfter of a schedule',
      { schedule: { notOnBattery: true, evictAfter: '1s' } },
      () => {
        sensors.battery = true
      },
      /^schedule: runs on its battery, for longer than 1s$/,
    ],
  ])(
    '%s: evicted with the reason, the task ends elsewhere, no retry is used',
    async (_, own, change, reason) => {
      const [host, elsewhere] = (await lend({ sensors, ...own }, {})) as [Host, Host]
      const job = await network.client.submit({
        ...sh('sleep 4; echo done'),
        tasks: [1],
        retry: { attempts: 1 },
        hosts: { rank: ({ peerId }: Offer) => (peerId === host.peerId ? 1 : 0) },
      })
      await until(() => phaseOf(host) === 'running', 'it runs')
      await change(host)
      const [result] = await Array.fromAsync(job.results())
      expect(result).toMatchObject({ ok: true, host: elsewhere.peerId })
      const evicted = (await Array.fromAsync(job.events())).filter(
        (event) => event.kind === 'attempt' && event.phase === 'evicted',
      )
      expect(evicted).toMatchObject([
        { by: 'host', host: host.peerId, reason: expect.stringMatching(reason) },
      ])
      await until(async () => (await containersOf(host.instance)).length === 0, 'it is removed')
    },
  )

  it('sensors that are not fooled by them: a program of a container is not one of the owner', async () => {
    const name = `mh-${randomBytes(4).toString('hex')}`
    const [host] = (await lend({ schedule: { pauseWhile: [name] } })) as [Host]
    const job = await network.client.submit({
      ...sh(`printf ${name} > /proc/$$/comm; cat /proc/$$/comm; while :; do sleep 1; done`),
      tasks: [1],
    })
    const named = async () => {
      // The engine lists a container a moment before, and after, it can look into it.
      const [id] = await containersOf(host.instance)
      const seen = await engine
        .getContainer(id ?? 'none')
        .top({ ps_args: '-o pid,comm' })
        .catch(() => undefined)
      return seen?.Processes.some((columns: string[]) => columns.includes(name)) === true
    }
    await until(named, 'it calls itself so')
    await host.setPolicy({})
    const verdict = async () => {
      const verdicts = await host.explain({
        client: network.client.peerId,
        runtime: 'docker',
        image: 'any',
        resources: { cpus: 0.1, memoryBytes: 1, diskBytes: 1, gpus: 0, pids: 1 },
        timeoutMs: 0,
        networkProfile: 'none',
      })
      return verdicts.find(({ rule }) => rule === 'schedule.pauseWhile')
    }
    expect(await verdict()).toMatchObject({ allowed: true, detail: `none of ${name} runs` })
    expect(phaseOf(host)).toBe('running')
    // The same name outside pauses it; a program of the owner is no child of ours.
    program = await startOutside(name)
    await until(() => phaseOf(host) === 'paused', 'the owner has the computer')
    expect(host.attempts()[0]?.reason).toBe(`schedule: ${name} is running`)
    await job.cancel()
  })

  it('the list of images by its names, also of tasks that have inputs of their own', async () => {
    await lend({ policy: { images: ['manyhands-test/busybox:*'] } })
    const job = await network.client.submit({
      ...sh('cat /in/x'),
      hosts: { wait: '3s' },
      tasks: ['a', 'b'],
      task: (item) => ({ inputs: { '/in/x': { text: `input of ${item}` } } }),
    })
    const results = await Array.fromAsync(job.results({ ordered: true }))
    expect(results.map(({ stdoutTail }) => stdoutTail)).toEqual(['input of a', 'input of b'])
  })
})

/** Starts a program of that name which nobody here is the parent of. Returns its process id. */
async function startOutside(name: string): Promise<number> {
  const path = join(dir, name)
  await copyFile('/bin/sleep', path)
  const shell = spawn('/bin/sh', ['-c', `setsid ${path} 60 >/dev/null 2>&1 & echo $!`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let told = ''
  shell.stdout.on('data', (bytes: Buffer) => (told += String(bytes)))
  await once(shell, 'close')
  return Number(told)
}
