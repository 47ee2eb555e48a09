/**
 * A neighbour repeats a short piece of fixed work on its own core while an abuser has the other one: a
 * fork bomb, four times its memory, a flood of output, a full disk, a million files. Each abuser works
 * alone, between two quiet moments. Told are the neighbour's p95 against the quiet one of the same run,
 * and how much the host's process grows.
 *
 *   node --conditions=@manyhands/source bench/neighbour.ts [--seconds 4] [--only yes]
 */
import { availableParallelism } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Client, createClient, type Job } from '@manyhands/client'
import { ensureBusybox } from '../scripts/docker-images.ts'
import { engine, removeContainersOf } from './shared/engine.ts'
import { startHostProcess } from './shared/host-processes.ts'
import { ensureNodeImage } from './shared/node-image.ts'
import { rssOf } from './shared/process-usage.ts'
import { percentile, printResult } from './shared/result.ts'

const LIMIT = 1.3
const RSS_LIMIT_MIB = 50
const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '4' }, only: { type: 'string' } },
})
const WINDOW_MS = Number(values.seconds) * 1000

/** Some milliseconds of arithmetic, and how long it took by the wall; rests so that it stays in its share. */
const WORK = `
  const work = () => { let x = 1; for (let i = 0; i < 4e6; i++) x = (x * 1103515245 + 12345) | 0; return x }
  for (let i = 0; i < 20; i++) work()
  const turn = () => {
    const begun = performance.now()
    work()
    process.stdout.write(Date.now() + ' ' + (performance.now() - begun).toFixed(3) + '\\n')
    setTimeout(turn, 10)
  }
  turn()`

const shell = (script: string) => ['/bin/sh', '-c', script]
const ABUSERS: Record<string, string[]> = {
  // A shell that cannot fork ends; awk goes on.
  'fork bomb': ['/bin/awk', 'BEGIN { while (1) system("f() { f | f & }; f") }'],
  'four times its memory': shell('while :; do dd if=/dev/zero of=/dev/null bs=256M; done'),
  'yes to stdout': shell('yes'),
  'full disk': shell('while :; do dd if=/dev/zero of=/out/x bs=1M; done'),
  'a million files': shell(
    'i=0; while :; do i=$((i+1)); : > /out/$i; [ $((i % 1000)) = 0 ] && mkdir /out/d$i; done',
  ),
}

interface Sample {
  at: number
  ms: number
}
interface Window {
  ms: number[]
  grownMiB: number
}

const busybox = await ensureBusybox(engine)
const node = await ensureNodeImage()
await using host = await startHostProcess({ runtimes: ['docker'], cpus: 2 })
try {
  await using client = await createClient({
    network: { bootstrap: host.ready.addresses, gossip: false },
  })
  await client.waitForHosts()
  const samples: Sample[] = []
  const neighbour = await client.submit({
    name: 'neighbour',
    image: node,
    command: ['/bin/node', '-e', WORK],
    tasks: '1',
    resources: { cpus: 1, memory: '256MiB' },
  })
  const reading = collect(neighbour, samples)
  while (samples.length < 20) await delay(50)

  for (const [name, command] of Object.entries(ABUSERS)) {
    if (values.only !== undefined && !name.includes(values.only)) continue
    const before = await observe(samples)
    const abuse = await startAbuse(client, name, command)
    const during = await observe(samples)
    const ranMs = abuse.ranMs()
    await abuse.job.cancel()
    await untilAlone()
    const after = await observe(samples)
    report(name, { during, quiet: [before, after], ranMs })
  }
  await neighbour.cancel()
  await reading
} finally {
  await removeContainersOf(host.ready.instance)
}

/** Reads what the neighbour writes; lines may come in pieces. */
async function collect(job: Job, samples: Sample[]): Promise<void> {
  let rest = ''
  for await (const { text } of job.logs({ follow: true })) {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const [at, ms] = line.split(' ').map(Number)
      if (at! > 0 && ms! > 0) samples.push({ at: at!, ms: ms! })
    }
  }
}

/** Abuse that goes on: whoever is ended for it is followed by the next, as soon as the host lets it. */
async function startAbuse(client: Client, name: string, command: string[]) {
  const job = await client.submit({
    name,
    image: busybox,
    command,
    tasks: '1-100000',
    retry: { attempts: 1 },
    resources: { cpus: 1, memory: '64MiB', disk: '64MiB', pids: 64 },
  })
  const begun = Promise.withResolvers<void>()
  let [ranMs, since] = [0, 0]
  const follow = async () => {
    for await (const event of job.events({ since: 0 })) {
      if (event.kind !== 'attempt') continue
      if (since > 0) ranMs += performance.now() - since
      since = event.phase === 'running' ? performance.now() : 0
      if (since > 0) begun.resolve()
    }
  }
  void follow()
  await begun.promise
  return { job, ranMs: () => ranMs + (since > 0 ? performance.now() - since : 0) }
}

async function untilAlone(): Promise<void> {
  const filters = { label: [`manyhands.host=${host.ready.instance}`] }
  while ((await engine.listContainers({ all: true, filters })).length > 1) await delay(50)
}

async function observe(samples: Sample[]): Promise<Window> {
  const began = Date.now()
  const rss = rssOf(host.child.pid!)
  let peak = rss
  while (Date.now() - began < WINDOW_MS) {
    await delay(50)
    peak = Math.max(peak, rssOf(host.child.pid!))
  }
  const ended = Date.now()
  // What was written late in the window arrives after it.
  await delay(200)
  const mine = samples.filter(({ at }) => at >= began && at <= ended).map(({ ms }) => ms)
  return { ms: mine, grownMiB: (peak - rss) / 1024 ** 2 }
}

function report(name: string, measured: { during: Window; quiet: Window[]; ranMs: number }): void {
  const { during, quiet, ranMs } = measured
  const p95 = (...list: Window[]) =>
    percentile(
      list.flatMap(({ ms }) => ms),
      0.95,
    )
  const [value, peer] = [p95(during), p95(...quiet)]
  const ratio = value / peer
  printResult({
    name: `neighbour of: ${name}`,
    promise: `p95 ≤ ${LIMIT} × its quiet one, the host grows by less than ${RSS_LIMIT_MIB} MiB`,
    value,
    unit: 'ms',
    against: 'p95 in the quiet moments before and after',
    peer,
    ratio,
    kept: ratio <= LIMIT && during.grownMiB < RSS_LIMIT_MIB,
    quietMs: quiet.map((window) => p95(window)),
    samples: [during, ...quiet].map(({ ms }) => ms.length),
    abuserRanMs: ranMs,
    hostGrownMiB: during.grownMiB,
    cores: availableParallelism(),
  })
}
