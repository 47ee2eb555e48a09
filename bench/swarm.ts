/**
 * One artifact for many hosts, from a client whose uplink is what is scarce: a network namespace for
 * each on one switch, the client's egress shaped. Hosts begin together and know nobody but the client.
 * `transfer` is stores and networks alone, one process each; `job` is the command with a real host
 * process per machine and a task on each of them, from the submission to the last task that runs.
 * Both against the same with a single host in the same run. Needs root.
 *
 *   node --conditions=@manyhands/source bench/swarm.ts [--mb 100] [--hosts 8] [--mbit 200] [--rounds 3]
 */
import { execFile } from 'node:child_process'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { runCommand } from './shared/command.ts'
import { type HostProcess, startHostProcess } from './shared/host-processes.ts'
import { type LabMachine, type NetLab, openNetLab } from './shared/net-lab.ts'
import { writeRandomFile } from './shared/random-file.ts'
import { median, printResult } from './shared/result.ts'
import { makeScratch } from './shared/scratch.ts'
import { startTransferPeer } from './shared/transfer-peers.ts'

const TIME_LIMIT = 1.5
const SENT_LIMIT = 1.3
const { values } = parseArgs({
  options: {
    mb: { type: 'string', default: '100' },
    hosts: { type: 'string', default: '8' },
    mbit: { type: 'string', default: '200' },
    rounds: { type: 'string', default: '3' },
  },
})
const bytes = Number(values.mb) * 1e6
const hostCount = Number(values.hosts)
const rounds = Number(values.rounds)
const run = promisify(execFile)

interface Spread {
  ms: number
  /** Bytes at the client's interface, and content by its own counter. */
  wireBytes: number
  sentBytes: number
}
interface Machines {
  client: LabMachine
  hosts: LabMachine[]
}
type Way = (path: string, dir: string, machines: Machines) => Promise<Spread>

await using scratch = await makeScratch()
const dir = scratch.path
await using lab = await openNetLab()
if (lab !== undefined) {
  await measure(lab, 'transfer', spreadTransfer)
  await measure(lab, 'job', spreadJob)
}

async function measure(lab: NetLab, name: string, spread: Way): Promise<void> {
  const client = await lab.addMachine({ uplinkMbit: Number(values.mbit) })
  const hosts: LabMachine[] = []
  while (hosts.length < hostCount) hosts.push(await lab.addMachine())
  const one: Spread[] = []
  const all: Spread[] = []
  for (let round = 0; round < rounds; round += 1) {
    for (const [list, count] of [
      [one, 1],
      [all, hostCount],
    ] as const) {
      const place = join(dir, `${name}-${round}-${count}`)
      await mkdir(place)
      const path = join(place, 'file')
      await writeRandomFile(path, bytes)
      await run('sync')
      list.push(await spread(path, place, { client, hosts: hosts.slice(0, count) }))
      await rm(place, { recursive: true })
    }
  }
  const [value, peer] = [all, one].map((list) => median(list.map(({ ms }) => ms))) as [
    number,
    number,
  ]
  const copies = median(all.map(({ wireBytes }) => wireBytes)) / bytes
  printResult({
    name: `swarm: ${name}`,
    promise: `at all ${hostCount} hosts within ${TIME_LIMIT} × of the time for one, and the client sends ≤ ${SENT_LIMIT} × its size`,
    value,
    unit: 'ms',
    rounds: all.map(({ ms }) => ms),
    against: 'one host',
    peer,
    ratio: value / peer,
    kept: value / peer <= TIME_LIMIT && copies <= SENT_LIMIT,
    peerRounds: one.map(({ ms }) => ms),
    copiesSent: copies,
    copiesSentRounds: all.map(({ wireBytes }) => wireBytes / bytes),
    copiesByOwnCount: median(all.map(({ sentBytes }) => sentBytes)) / bytes,
    bytes,
    uplinkMbit: Number(values.mbit),
    lineMs: (bytes * 8) / (Number(values.mbit) * 1000),
  })
}

/** Until each host has all of it. */
async function spreadTransfer(
  path: string,
  place: string,
  { client, hosts }: Machines,
): Promise<Spread> {
  await using peers = new AsyncDisposableStack()
  const start = async ({ ip, inside }: LabMachine, name: string) =>
    peers.use(
      await startTransferPeer({ dir: join(place, name), listen: [`/ip4/${ip}/tcp/0`], inside }),
    )
  const origin = await start(client, 'client')
  const receivers = await Promise.all(hosts.map((host, index) => start(host, `host${index}`)))
  const { root } = await origin.ask('add', { path })
  const wireBefore = client.sentBytes()
  const began = performance.now()
  await Promise.all(
    receivers.map((receiver, index) => {
      const target = join(place, `target${index}`)
      return receiver.ask('fetch', { address: origin.address, root, target })
    }),
  )
  const ms = performance.now() - began
  const wireBytes = client.sentBytes() - wireBefore
  const { bytes: sentBytes } = await origin.ask('sent', {})
  for (const index of hosts.keys()) await run('cmp', [path, join(place, `target${index}`)])
  return { ms, wireBytes, sentBytes }
}

/** Until a task of one job runs on each host, the file being its input. */
async function spreadJob(
  path: string,
  place: string,
  { client, hosts }: Machines,
): Promise<Spread> {
  await using stack = new AsyncDisposableStack()
  const started: HostProcess[] = await Promise.all(
    hosts.map(async ({ ip, inside }, index) =>
      stack.use(
        await startHostProcess({
          runtimes: ['scripted'],
          cpus: 1,
          state: join(place, `host${index}`),
          listen: [`/ip4/${ip}/tcp/0`],
          inside,
        }),
      ),
    ),
  )
  const spec = join(place, 'spec.json')
  await writeFile(
    spec,
    JSON.stringify({
      runtime: 'scripted',
      image: 'any',
      // Long enough that nobody is done, and takes a second one, before the last one has begun.
      command: ['run', '--for', '60s'],
      inputs: { '/in/file': path },
      tasks: `1-${hosts.length}`,
      resources: { cpus: 1 },
      hosts: { perHost: 1 },
    }),
  )
  const bootstrap = started.flatMap(({ ready }) => ['--bootstrap', ready.addresses[0]!])
  const wireBefore = client.sentBytes()
  const running = new Set<string>()
  let submittedAt = Number.NaN
  let ms = Number.NaN
  let wireBytes = Number.NaN
  const { lines, said } = await runCommand(
    ['run', spec, '--jsonl', ...bootstrap, '--state', join(place, 'client')],
    {
      inside: client.inside,
      onLine: ({ line, at, interrupt }) => {
        if (line['event'] === 'submitted') submittedAt = at
        if (line['event'] !== 'attempt' || line['phase'] !== 'running') return
        running.add(line['host'] as string)
        if (running.size < hosts.length) return
        ms = at - submittedAt
        wireBytes = client.sentBytes() - wireBefore
        interrupt()
      },
    },
  )
  if (running.size < hosts.length)
    throw new Error(`tasks ran on ${running.size} hosts only: ${said}`)
  return { ms, wireBytes, sentBytes: Number(lines.at(-1)?.['bytesUp']) }
}
