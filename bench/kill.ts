/**
 * The owner's kill, 52 times: attempts that run, are paused, receive inputs over a slow link (staging)
 * and receive their image over one (pulling), four at a time, killed in random order at random moments
 * over the control API. Three clocks run from the request: until it is answered, until nothing of the
 * attempt is there any more, until the client has the eviction. Against the engine's own kill of bare
 * containers in the same rounds.
 *
 *   node --conditions=@manyhands/source bench/kill.ts [--rounds 13]
 */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Client, createClient, type Job } from '@manyhands/client'
import { type ControlClient, createControlClient } from '@manyhands/control'
import type { Input, JobSpec } from '@manyhands/core'
import { ensureBusybox } from '../scripts/docker-images.ts'
import { engine, removeContainersOf } from './shared/engine.ts'
import { startHostProcess } from './shared/host-processes.ts'
import { percentile, printResult } from './shared/result.ts'
import { startSlowLink } from './shared/slow-link.ts'

const LINK_BYTES_PER_SECOND = 2 * 1024 ** 2
/** What such a link takes far longer for than a round does. */
const SLOW_BYTES = 16 * 1024 ** 2
const MOMENT_MS = 150
const { values } = parseArgs({ options: { rounds: { type: 'string', default: '13' } } })

type State = 'running' | 'paused' | 'staging' | 'pulling'
interface Killed {
  state: State
  acknowledgedMs: number
  goneMs: number
  /** After it was gone. */
  knownMs: number
}
/** An attempt in its state, ready to be killed. */
interface Victim {
  state: State
  job: Job
  id: string
  /** Of the container's first process. */
  pid: number | undefined
}

const image = await ensureBusybox(engine)
const dir = await mkdtemp(join(tmpdir(), 'manyhands-bench-'))
try {
  await using host = await startHostProcess({
    runtimes: ['docker', 'wasm'],
    cpus: 8,
    listen: ['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/tcp/0/ws'],
    control: true,
  })
  const tcp = host.ready.addresses.find((address) => !address.includes('/ws/'))!
  const ws = host.ready.addresses.find((address) => address.includes('/ws/'))!
  await using link = await startSlowLink(Number(ws.split('/')[4]), LINK_BYTES_PER_SECOND)
  // Websockets keep bulk data on the connection itself, and so on the slow link.
  const slow = `/ip4/127.0.0.1/tcp/${link.port}/ws/p2p/${ws.split('/').at(-1)}`
  await using fastClient = await createClient({ network: { bootstrap: [tcp], gossip: false } })
  await using slowClient = await createClient({ network: { bootstrap: [slow], gossip: false } })
  await Promise.all([fastClient.waitForHosts(), slowClient.waitForHosts()])
  const control = createControlClient(host.ready.control)
  const killed: Killed[] = []
  const bare: number[] = []
  try {
    for (let round = 0; round < Number(values.rounds); round += 1) {
      const victims: Victim[] = []
      for (const state of ['running', 'paused', 'staging', 'pulling'] as const) {
        const client = state === 'running' || state === 'paused' ? fastClient : slowClient
        victims.push(await prepare(state, client, control))
      }
      victims.sort(() => Math.random() - 0.5)
      for (const victim of victims) {
        await delay(Math.random() * MOMENT_MS)
        killed.push(await kill(victim, control))
      }
      bare.push(await bareKill())
    }
  } finally {
    await removeContainersOf(host.ready.instance)
  }
  report(killed, bare)
} finally {
  await rm(dir, { recursive: true, force: true })
}

async function prepare(state: State, client: Client, control: ControlClient): Promise<Victim> {
  const job = await client.submit(await specOf(state))
  const id = await idOf(control, job, phaseOf(state))
  // The client listens before the clocks run: its way is slow, and the host's news are not.
  await seen(job, id)
  let pid: number | undefined
  if (phaseOf(state) !== 'staging') {
    const filters = { label: [`manyhands.attempt=${id}`] }
    const [found] = await engine.listContainers({ filters })
    pid = (await engine.getContainer(found!.Id).inspect()).State.Pid
  }
  if (state === 'paused') await control.pause(id)
  return { state, job, id, pid }
}

async function specOf(state: State): Promise<JobSpec<number>> {
  const shared = { name: state, tasks: '1', resources: { cpus: 0.5, memory: '32MiB' } } as const
  if (state === 'pulling') {
    const module = join(dir, `${randomBytes(8).toString('hex')}.wasm`)
    const header = Buffer.from('0061736d01000000', 'hex')
    await writeFile(module, Buffer.concat([header, randomBytes(SLOW_BYTES)]))
    return { ...shared, runtime: 'wasm', image: module, command: ['run'] }
  }
  const inputs: Record<string, Input> =
    state === 'staging' ? { '/in/large': randomBytes(SLOW_BYTES) } : {}
  return { ...shared, image, command: ['/bin/sleep', '600'], inputs }
}

function phaseOf(state: State): string {
  return state === 'staging' || state === 'pulling' ? 'staging' : 'running'
}

async function idOf(control: ControlClient, job: Job, phase: string): Promise<string> {
  for (;;) {
    const found = (await control.attempts()).find(
      (attempt) => attempt.job === job.id && attempt.phase === phase,
    )
    if (found !== undefined) return found.id
    await delay(5)
  }
}

/** Resolves when the client knows of an attempt. */
async function seen(job: Job, id: string): Promise<void> {
  for await (const event of job.events({ since: 0 })) {
    if (event.kind === 'attempt' && event.attempt === id && event.phase !== 'offered') return
  }
}

async function kill({ state, job, id, pid }: Victim, control: ControlClient): Promise<Killed> {
  const known = evictionOf(job, id)
  const started = performance.now()
  const request = control
    .kill(id, 'need my machine', { wait: 'told' })
    .then(() => performance.now() - started)
  await gone(id, pid, control)
  const goneMs = performance.now() - started
  const knownMs = Math.max(0, (await known) - started - goneMs)
  const acknowledgedMs = await request
  // Or the task would come back: there is no other host to move to.
  await job.cancel()
  return { state, acknowledgedMs, goneMs, knownMs }
}

/** Resolves with the moment when the client has the eviction. */
async function evictionOf(job: Job, id: string): Promise<number> {
  for await (const event of job.events({ since: 0 })) {
    if (event.kind !== 'attempt' || event.attempt !== id || event.phase !== 'evicted') continue
    if (event.by !== 'host' || event.reason !== 'need my machine') {
      throw new Error(`an eviction without its reason: ${JSON.stringify(event)}`)
    }
    return performance.now()
  }
  throw new Error('the job ended without an eviction')
}

/** Resolves when neither process nor running container nor unfinished attempt is there. */
async function gone(id: string, pid: number | undefined, control: ControlClient): Promise<void> {
  while (pid !== undefined && existsSync(`/proc/${pid}`)) await delay(2)
  const filters = { label: [`manyhands.attempt=${id}`] }
  while (pid !== undefined && (await engine.listContainers({ filters })).length > 0) await delay(5)
  while (pid === undefined) {
    const phase = (await control.attempts()).find((attempt) => attempt.id === id)?.phase
    if (phase === undefined || phase === 'evicted') return
    await delay(2)
  }
}

/** The engine alone, looked at in the same way. */
async function bareKill(): Promise<number> {
  const container = await engine.createContainer({
    Image: image,
    Cmd: ['/bin/sleep', '600'],
    HostConfig: { NetworkMode: 'none', Init: true },
  })
  try {
    await container.start()
    const { Pid } = (await container.inspect()).State
    const started = performance.now()
    const request = container.kill()
    while (existsSync(`/proc/${Pid}`)) await delay(2)
    const filters = { id: [container.id] }
    while ((await engine.listContainers({ filters })).length > 0) await delay(5)
    const goneMs = performance.now() - started
    await request
    return goneMs
  } finally {
    await container.remove({ force: true })
  }
}

function report(killed: Killed[], bare: number[]): void {
  const spread = (list: number[]) => [0.5, 0.99, 1].map((share) => percentile(list, share))
  const print = (
    name: string,
    promise: string,
    figure: 'acknowledgedMs' | 'goneMs' | 'knownMs',
    share: number,
    limitMs: number,
  ) => {
    const all = killed.map((each) => each[figure])
    const value = percentile(all, share)
    const against = figure === 'goneMs' ? 'the engine’s own kill of a bare container' : 'the limit'
    const peer = figure === 'goneMs' ? percentile(bare, share) : limitMs
    const states = ['running', 'paused', 'staging', 'pulling'].map((state) => [
      `${state}Ms`,
      spread(killed.filter((each) => each.state === state).map((each) => each[figure])),
    ])
    printResult({
      name,
      promise,
      value,
      unit: 'ms',
      against,
      peer,
      ratio: value / peer,
      kept: value <= limitMs,
      kills: all.length,
      ...Object.fromEntries(states),
      ...(figure === 'goneMs' ? { bareMs: spread(bare) } : {}),
    })
  }
  print('kill: acknowledged', 'a kill is answered within 100 ms', 'acknowledgedMs', 1, 100)
  print('kill: gone', 'p99 < 1 s until nothing of the attempt is there', 'goneMs', 0.99, 1000)
  print('kill: known', 'the client has the eviction at most 1 s later', 'knownMs', 1, 1000)
}
