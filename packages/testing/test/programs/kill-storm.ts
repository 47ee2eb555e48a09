import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

export interface Storm {
  tasks: number
  hostKills: number
  clientKills: number
  hosts: number
  /** How long a task takes, ms. */
  ms: number
  /** Between two kills, ms. */
  everyMs: number
}

export interface StormReport {
  /** Tasks without a result that is right. */
  lost: string[]
  /** Results that were told of differently, or more than once by one client. */
  changed: string[]
  phase: string
  /** Why tasks failed. */
  errors: string[]
  /** Runs of tasks, over all hosts. */
  ran: number
  hostKills: number
  clientKills: number
  seconds: number
}

interface Told {
  key: string
  ok: boolean
  host: string
  durationMs: number
  made: string
  error?: string
}

const program = (name: string) => new URL(`./${name}.ts`, import.meta.url).pathname

/**
 * Runs a job while its hosts and its client are killed without a word, again and again, and started anew:
 * real processes, each with a state of its own.
 */
export async function killStorm(storm: Storm): Promise<StormReport> {
  const dir = await mkdtemp(join(tmpdir(), 'manyhands-storm-'))
  const children = new Set<ChildProcess>()
  const startedAt = performance.now()
  try {
    return await rage(storm, dir, children, startedAt)
  } finally {
    for (const child of children) child.kill('SIGKILL')
    await rm(dir, { recursive: true, force: true })
  }
}

async function rage(
  storm: Storm,
  dir: string,
  children: Set<ChildProcess>,
  startedAt: number,
): Promise<StormReport> {
  const ran = join(dir, 'ran')
  const calm = join(dir, 'calm')
  const start = (name: string, options: object) => {
    const args = ['--conditions=@manyhands/source', program(name), JSON.stringify(options)]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    children.add(child)
    child.once('exit', () => children.delete(child))
    return child
  }
  const listens = Array.from({ length: storm.hosts }, () => '/ip4/127.0.0.1/tcp/0')
  const startHost = async (n: number) => {
    const { ms, tasks } = storm
    const state = join(dir, `host-${n}`)
    const options = { state, listen: listens[n], ran, ms, last: String(tasks), calm }
    const child = start('storm-host', options)
    const [line] = await once(createInterface({ input: child.stdout! }), 'line')
    const [address] = (JSON.parse(line) as { addresses: string[] }).addresses as [string]
    // It comes back where it was.
    listens[n] = address.slice(0, address.indexOf('/p2p/'))
    return { child, address }
  }
  const hosts = await Promise.all(listens.map((_, n) => startHost(n)))

  const first = new Map<string, string>()
  const right = new Set<string>()
  const errors: string[] = []
  const changed = new Set<string>()
  let phase = ''
  const startClient = () => {
    const bootstrap = hosts.map(({ address }) => address)
    const options = { state: join(dir, 'client'), bootstrap, tasks: `1-${storm.tasks}` }
    const child = start('storm-client', options)
    const seen = new Set<string>()
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const told = JSON.parse(line) as Partial<Told> & { phase?: string }
      if (told.phase !== undefined) phase = told.phase
      if (told.key === undefined) return
      const { key, made, error } = told as Told
      if (error !== undefined) errors.push(`${key}: ${error}`)
      if (seen.has(key) || (first.get(key) ?? line) !== line) changed.add(key)
      seen.add(key)
      first.set(key, line)
      if (made === `made of ${key}`) right.add(key)
    })
    return child
  }

  let client = startClient()
  let over = once(client, 'exit')
  let hostKills = 0
  let clientKills = 0
  const every = Math.max(1, Math.floor(storm.hostKills / Math.max(1, storm.clientKills)))
  while (phase === '' && hostKills < storm.hostKills) {
    await new Promise((resolve) => setTimeout(resolve, storm.everyMs))
    // Of half of the hosts, in turn: a task that coincides with the deaths of three is rightly taken for poison.
    const n = hostKills % Math.min(2, storm.hosts)
    hosts[n]!.child.kill('SIGKILL')
    await once(hosts[n]!.child, 'exit')
    hostKills += 1
    if (hostKills % every === 0 && clientKills < storm.clientKills) {
      client.kill('SIGKILL')
      await over
      clientKills += 1
      client = startClient()
      over = once(client, 'exit')
    }
    hosts[n] = await startHost(n)
  }
  await writeFile(calm, '')
  await over
  const keys = Array.from({ length: storm.tasks }, (_, n) => String(n + 1))
  const runs = (await readFile(ran, 'utf8')).trimEnd().split('\n').length
  return {
    lost: keys.filter((key) => !right.has(key)),
    changed: [...changed],
    phase,
    errors,
    ran: runs,
    hostKills,
    clientKills,
    seconds: (performance.now() - startedAt) / 1000,
  }
}
