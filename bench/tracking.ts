/**
 * 20 containers, each measured once a second, their client attached: what that costs the host's process
 * beyond a host that has nothing to do, and what it costs the engine's daemon beyond a host that is
 * stopped. Against streams of `docker stats` over the same containers.
 *
 *   node --conditions=@manyhands/source bench/tracking.ts [--seconds 4] [--rounds 4]
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createClient, type Job } from '@manyhands/client'
import { createControlClient } from '@manyhands/control'
import { ensureBusybox } from '../scripts/docker-images.ts'
import { engine, enginePid, removeContainersOf, socketPath } from './shared/engine.ts'
import { startHostProcess } from './shared/host-processes.ts'
import { cpuMsOf } from './shared/process-usage.ts'
import { median, printResult } from './shared/result.ts'

const CONTAINERS = 20
const LIMIT_PERCENT = 2
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '4' },
  },
})
const WINDOW_MS = Number(values.seconds) * 1000

/** Percent of a core that processes use while time passes. */
async function load(pids: (number | undefined)[], work: () => Promise<unknown>): Promise<number[]> {
  const before = pids.map((pid) => (pid === undefined ? 0 : cpuMsOf(pid)))
  const started = performance.now()
  await work()
  const after = pids.map((pid) => (pid === undefined ? 0 : cpuMsOf(pid)))
  const elapsed = performance.now() - started
  return after.map((ms, index) => ((ms - before[index]!) * 100) / elapsed)
}

const wait = () => delay(WINDOW_MS)
const image = await ensureBusybox(engine)
await using host = await startHostProcess({ runtimes: ['docker'], cpus: CONTAINERS, control: true })
const pid = host.child.pid!
const daemon = enginePid()
try {
  await using client = await createClient({
    network: { bootstrap: host.ready.addresses, gossip: false },
  })
  await client.waitForHosts()
  // The first seconds of a process compile what it runs.
  await delay(2000)
  const [idle = 0] = await load([pid], wait)
  const job = await client.submit({
    image,
    command: ['/bin/sh', '-c', 'while :; do sleep 0.5; done'],
    tasks: `1-${CONTAINERS}`,
    resources: { cpus: 0.5, memory: '16MiB', disk: '16MiB' },
  })
  await untilRunning(job)
  const control = createControlClient(host.ready.control)
  const filters = { label: [`manyhands.host=${host.ready.instance}`] }
  const ids = (await engine.listContainers({ filters })).map((container) => container.Id)
  await delay(2000)

  const tracked: number[] = []
  const daemonWith: number[] = []
  const daemonWithout: number[] = []
  const stats: number[] = []
  for (let round = 0; round < Number(values.rounds); round += 1) {
    const [ours = 0, theirs = 0] = await load([pid, daemon], wait)
    tracked.push(ours)
    daemonWith.push(theirs)
    // A host that is stopped asks nothing; what the daemon does then it does for others.
    host.child.kill('SIGSTOP')
    const [without = 0] = await load([daemon], wait)
    daemonWithout.push(without)
    stats.push((await dockerStats(ids)) - without)
    host.child.kill('SIGCONT')
    await delay(1000)
  }
  const samples = await samplesASecond(control)
  const hostPercent = median(tracked) - idle
  const daemonPercent = median(daemonWith) - median(daemonWithout)
  const value = hostPercent + Math.max(0, daemonPercent)
  printResult({
    name: 'tracking',
    promise: '20 containers measured at 1 Hz cost at most 2 % of a core',
    value,
    unit: '% of a core, host and daemon',
    rounds: tracked.map((percent) => percent - idle),
    against: 'docker stats over the same containers, client and daemon',
    peer: median(stats),
    ratio: value / median(stats),
    kept: value <= LIMIT_PERCENT && samples >= 0.9,
    hostPercent,
    daemonPercent,
    idleHostPercent: idle,
    busyHostPercent: median(tracked),
    samplesASecond: samples,
  })
  await job.cancel()
} finally {
  host.child.kill('SIGCONT')
  await removeContainersOf(host.ready.instance)
}

async function untilRunning(job: Job): Promise<void> {
  const running = new Set<string>()
  for await (const event of job.events({ since: 0 })) {
    if (event.kind === 'attempt' && event.phase === 'running') running.add(event.attempt)
    if (running.size === CONTAINERS) return
  }
}

/** Percent of a core of its client and the daemon. */
async function dockerStats(ids: string[]): Promise<number> {
  const child = spawn('docker', ['-H', `unix://${socketPath}`, 'stats', ...ids], {
    stdio: 'ignore',
  })
  const gone = once(child, 'exit')
  try {
    await once(child, 'spawn')
    // Its own start is not what is measured.
    await delay(1000)
    const [own = 0, theirs = 0] = await load([child.pid, daemon], wait)
    return own + theirs
  } finally {
    child.kill('SIGKILL')
    await gone
  }
}

/** Of each container, as the owner sees them. */
async function samplesASecond(control: ReturnType<typeof createControlClient>): Promise<number> {
  const stop = AbortSignal.timeout(WINDOW_MS)
  const times: number[] = []
  try {
    for await (const _ of control.usage({ signal: stop })) times.push(performance.now())
  } catch (error) {
    if (!stop.aborted) throw error
  }
  // From the first round of samples to the last one.
  const rounds = Math.round(times.length / CONTAINERS) - 1
  return (rounds * 1000) / (times.at(-1)! - times[0]!)
}
