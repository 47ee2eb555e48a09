/**
 * A host with eight running containers is killed and started again on the same state: how long until
 * the new process has taken all of them up, which of them are the same containers, and whether any task
 * was run again. The ratio is against the promise; `bareMs` is what Node needs to start, list and
 * inspect the same containers without a host.
 *
 *   node --conditions=@manyhands/source bench/adoption.ts [--rounds 3]
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createClient, type Job } from '@manyhands/client'
import type { TaskResult } from '@manyhands/core'
import { ensureBusybox } from '../scripts/docker-images.ts'
import { engine, removeContainersOf } from './shared/engine.ts'
import { startHostProcess } from './shared/host-processes.ts'
import { median, printResult } from './shared/result.ts'

const CONTAINERS = 8
const LIMIT_MS = 2000 + 50 * CONTAINERS
const { values } = parseArgs({ options: { rounds: { type: 'string', default: '3' } } })

interface Round {
  adoptionMs: number
  /** Of it, without the start of Node and the reading of modules. */
  openMs: number
  cpuMs: number
  bareMs: number
  /** Containers of the first life that the second has kept. */
  same: number
  /** Tasks that were sent out more than once. */
  again: number
  completed: number
}

const image = await ensureBusybox(engine)
const rounds: Round[] = []
for (let round = 0; round < Number(values.rounds); round += 1) rounds.push(await killAndRestart())
const all = CONTAINERS * rounds.length
const sum = (of: (round: Round) => number) => rounds.reduce((total, round) => total + of(round), 0)
const value = median(rounds.map((round) => round.adoptionMs))
const same = sum((round) => round.same)
const again = sum((round) => round.again)
printResult({
  name: 'adoption',
  promise: '≤ 2 s + 50 ms per container, at least 95 % of them, none run again',
  value,
  unit: 'ms from the start of the process',
  rounds: rounds.map((round) => round.adoptionMs),
  against: 'the limit',
  peer: LIMIT_MS,
  ratio: value / LIMIT_MS,
  kept: value <= LIMIT_MS && same / all >= 0.95 && again === 0 && sum((r) => r.completed) === all,
  openMs: median(rounds.map((round) => round.openMs)),
  cpuMs: median(rounds.map((round) => round.cpuMs)),
  bareMs: median(rounds.map((round) => round.bareMs)),
  adopted: same / all,
  runAgain: again,
  completed: sum((round) => round.completed) / all,
})

async function killAndRestart(): Promise<Round> {
  const dir = await mkdtemp(join(tmpdir(), 'manyhands-bench-'))
  const options = {
    runtimes: ['docker' as const],
    cpus: CONTAINERS,
    state: join(dir, 'host'),
    listen: [`/ip4/127.0.0.1/tcp/${await freePort()}`],
  }
  let instance: string | undefined
  try {
    const first = await startHostProcess(options)
    instance = first.ready.instance
    await using client = await createClient({
      network: { bootstrap: first.ready.addresses, gossip: false },
    })
    await client.waitForHosts()
    const job = await client.submit({
      image,
      // Until it is told: the round decides how long, not the clock.
      command: ['/bin/sh', '-c', 'trap "echo end; exit 0" USR1; while :; do sleep 0.1; done'],
      tasks: `1-${CONTAINERS}`,
      resources: { cpus: 1, memory: '32MiB' },
    })
    const before = await containersOf(instance, CONTAINERS)
    await untilRunning(job, CONTAINERS)
    first.child.kill('SIGKILL')
    await once(first.child, 'exit')

    const started = performance.now()
    await using second = await startHostProcess(options)
    const adoptionMs = performance.now() - started
    const after = await containersOf(instance)
    const bareMs = await bare(after)
    const results: TaskResult<string>[] = []
    const reading = (async () => {
      for await (const result of job.results()) results.push(result)
    })()
    // Again and again, since a task that is run again has another container.
    while (job.phase !== 'completed' && job.phase !== 'failed') {
      for (const id of await containersOf(instance)) {
        await engine
          .getContainer(id)
          .kill({ signal: 'SIGUSR1' })
          .catch(() => {})
      }
      await delay(100)
    }
    await reading
    return {
      adoptionMs,
      openMs: second.ready.openMs,
      cpuMs: second.ready.cpuMs,
      bareMs,
      same: after.filter((id) => before.includes(id)).length,
      again: results.filter((result) => result.attempts !== 1).length,
      completed: results.filter((result) => result.ok).length,
    }
  } finally {
    if (instance !== undefined) await removeContainersOf(instance)
    await rm(dir, { recursive: true, force: true })
  }
}

/** Ids of its running containers, as soon as there are at least that many. */
async function containersOf(instance: string, least = 0): Promise<string[]> {
  const filters = { label: [`manyhands.host=${instance}`] }
  while (true) {
    const found = await engine.listContainers({ filters })
    if (found.length >= least) return found.map((container) => container.Id)
    await delay(20)
  }
}

/** The client has seen all of them run, so the host's journal has them. */
async function untilRunning(job: Job, count: number) {
  const running = new Set<string>()
  for await (const event of job.events({ since: 0 })) {
    if (event.kind === 'attempt' && event.phase === 'running') running.add(event.attempt)
    if (running.size === count) return
  }
}

async function bare(ids: string[]): Promise<number> {
  const program = `
    const { default: Docker } = await import('dockerode')
    const engine = new Docker({ socketPath: '/var/run/docker.sock' })
    await engine.listContainers({ all: true })
    for (const id of process.argv.slice(1)) await engine.getContainer(id).inspect()`
  const started = performance.now()
  const args = ['--input-type=module', '-e', program, ...ids]
  const child = spawn(process.execPath, args, { stdio: 'inherit', cwd: import.meta.dirname })
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`the bare peer ended with ${code}`)
  return performance.now() - started
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}
