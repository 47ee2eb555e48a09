import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { type Client, createClient, type Job, type JobEvent } from '@manyhands/client'
import { type Offer, verifyReceipt } from '@manyhands/core'
import type { HostAttempt } from '@manyhands/host'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { engine, engineForTests } from '../../docker-runtime/test/engine-for-tests.ts'
import { containersOf, removeContainersOf, sh, until } from './docker-for-tests.ts'

const PROGRAM = new URL('./programs/docker-host-process.ts', import.meta.url).pathname
/** Outside of the range that systems take ports from by themselves: it must be free again later. */
const LISTEN = `/ip4/127.0.0.1/tcp/${10_000 + (process.pid % 10_000)}`
const HANG = sh('while :; do sleep 1; done')

interface Seen {
  attempts: HostAttempt[]
  offer: Offer
}

class HostProcess {
  readonly child: ChildProcess
  readonly #lines: Interface
  readonly #ended: Promise<never>
  instance = ''
  address = ''

  constructor(options: object) {
    const argv = ['--conditions=@manyhands/source', PROGRAM, JSON.stringify(options)]
    this.child = spawn(process.execPath, argv, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#lines = createInterface({ input: this.child.stdout! })
    this.#ended = once(this.child, 'exit').then(([code]) => {
      throw new Error(`the host ended with ${code}`)
    })
    this.#ended.catch(() => {})
  }

  async ready(): Promise<this> {
    const { instance, addresses } = await this.#line<{ instance: string; addresses: string[] }>()
    this.instance = instance
    this.address = addresses[0]!
    return this
  }

  see(): Promise<Seen> {
    return this.do('see')
  }

  do(
    ...call: ['see'] | ['pause', id: string, reason: string] | ['limit', id: string, change: object]
  ) {
    this.child.stdin!.write(`${JSON.stringify(call)}\n`)
    return this.#line<Seen>()
  }

  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const exited = once(this.child, 'exit')
    this.child.kill('SIGKILL')
    await exited
  }

  async #line<Value>(): Promise<Value> {
    const [line] = await Promise.race([once(this.#lines, 'line'), this.#ended])
    return JSON.parse(line)
  }
}

let dir: string
let state: string
let processes: HostProcess[]
let client: Client | undefined
const instances = new Set<string>()

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'manyhands-test-'))
  state = join(dir, 'host')
  processes = []
})
afterEach(async () => {
  await client?.close()
  client = undefined
  for (const one of processes) await one.kill()
  await removeContainersOf(...instances)
  instances.clear()
  await rm(dir, { recursive: true, force: true })
})

function begin(options: object = {}): HostProcess {
  const one = new HostProcess({ state, listen: LISTEN, ...options })
  processes.push(one)
  return one
}

async function start(options: object = {}): Promise<HostProcess> {
  const one = await begin(options).ready()
  instances.add(one.instance)
  return one
}

async function connect(host: HostProcess): Promise<Client> {
  client = await createClient({
    network: { bootstrap: [host.address], gossip: false },
    lease: { heartbeat: '2s' },
  })
  await client.waitForHosts()
  return client
}

async function runningAttempts(job: Job<unknown>, count: number): Promise<string[]> {
  const ids = new Set<string>()
  for await (const event of job.events()) {
    if (event.kind === 'attempt' && event.phase === 'running') ids.add(event.attempt)
    if (ids.size === count) return [...ids]
  }
  throw new Error('the job ended')
}

const isAttempt = (event: JobEvent) => event.kind === 'attempt'

/** What an ended and forgotten run leaves: nothing. Looked at after one more start. */
async function expectNothingLeft(host: HostProcess): Promise<void> {
  await until(async () => (await host.see()).attempts.length === 0, 'all is acknowledged')
  await host.kill()
  const again = await start()
  expect((await again.see()).attempts).toEqual([])
  expect(await containersOf(host.instance)).toEqual([])
  expect(await readdir(join(state, 'attempts'))).toEqual([])
  expect(await readdir(join(state, 'inputs')).catch(() => [])).toEqual([])
  await again.kill()
  const database = new DatabaseSync(join(state, 'host.db'))
  expect(database.prepare('PRAGMA integrity_check').all()).toEqual([{ integrity_check: 'ok' }])
  for (const table of ['attempts', 'attempt_states', 'usage_attempts']) {
    expect(database.prepare(`SELECT id FROM ${table}`).all(), table).toEqual([])
  }
  database.close()
}

describe.skipIf(!(await engineForTests()))('a host process that is killed over containers', () => {
  it('at any moment, again and again: what was seen running is taken up, nothing is left', async () => {
    let host = await start()
    const job = await (await connect(host)).submit({
      ...sh('cat /in/x >/out/x; sleep 0.$((RANDOM % 9 + 1)); echo end'),
      inputs: { '/in/x': { text: 'hello' } },
      tasks: '1-40',
      retry: { attempts: 1 },
    })
    for (let round = 0; round < 15 && job.phase !== 'completed'; round += 1) {
      await delay(Math.random() * 1200)
      await host.kill()
      host = await start()
    }
    expect((await job.wait()).counts).toMatchObject({ completed: 40, failed: 0 })
    const events = (await Array.fromAsync(job.events())).filter(isAttempt)
    const of = (phase: string) =>
      events.filter((event) => event.phase === phase).map(({ attempt }) => attempt)
    const running = new Set(of('running'))
    expect(of('lost').filter((attempt) => running.has(attempt))).toEqual([])
    await expectNothingLeft(host)
    // Fifteen starts of a host take long on a busy machine.
  }, 300_000)

  it('takes up the same containers, also paused ones, with their limits', async () => {
    const host = await start()
    const job = await (await connect(host)).submit({ ...HANG, tasks: '1-4' })
    const ids = await runningAttempts(job, 4)
    const before = await containersOf(host.instance)
    expect(before).toHaveLength(4)
    const [paused, limited] = ids as [string, string]
    await host.do('pause', paused, 'a meeting')
    await host.do('limit', limited, { cpus: 0.3, memory: '48MiB' })
    const { free } = (await host.see()).offer
    await host.kill()
    const again = await start()
    expect((await containersOf(host.instance)).toSorted()).toEqual(before.toSorted())
    const find = async (id: string) => (await again.see()).attempts.find((one) => one.id === id)
    await until(async () => (await find(paused))?.phase === 'paused', 'it is held again')
    expect(await find(paused)).toMatchObject({ phase: 'paused', reason: 'a meeting' })
    expect(await find(limited)).toMatchObject({
      phase: 'running',
      limits: { cpus: 0.3, memoryBytes: 48 * 1024 ** 2 },
    })
    expect((await again.see()).offer.free).toEqual(free)
    expect((await again.see()).attempts.map(({ id }) => id).toSorted()).toEqual(ids.toSorted())
    await job.cancel()
    await expectNothingLeft(again)
  })

  it('while its containers end: they are sealed with their true end', async () => {
    const host = await start()
    const job = await (await connect(host)).submit({
      ...sh('while [ ! -e /out/go ]; do sleep 0.05; done; echo done; exit {{item}}'),
      tasks: [0, 7],
      retry: { attempts: 1 },
    })
    await runningAttempts(job, 2)
    await host.kill()
    const ends: Promise<unknown>[] = []
    for (const id of await containersOf(host.instance)) {
      const container = engine.getContainer(id)
      const { Mounts } = await container.inspect()
      const out = Mounts.find(({ Destination }) => Destination === '/out')!.Source
      ends.push(container.wait())
      await writeFile(join(out, 'go'), '')
    }
    await Promise.all(ends)
    const again = await start()
    const results = await Array.fromAsync(job.results({ ordered: true }))
    // The host that signs has not started them: what they run, and for which offer, it had to find out.
    for (const { receipt } of results) {
      expect(verifyReceipt(receipt).image).toMatch(/^sha256:[0-9a-f]{64}$/)
    }
    expect(results).toMatchObject([
      { ok: true, exitCode: 0, attempts: 1 },
      { ok: false, exitCode: 7, attempts: 1, error: { code: 'TASK_FAILED' } },
    ])
    await expectNothingLeft(again)
  })

  it('in a warm sandbox: it ends by itself, is gone, and the task is done elsewhere, at no cost', async () => {
    const host = await start()
    const job = await (await connect(host)).submit({
      ...sh('true'),
      task: (item) => ({
        command: ['/bin/sh', '-c', item === 1 ? 'while :; do sleep 1; done' : 'true'],
      }),
      tasks: [0, 1],
      hosts: { perHost: 1 },
      retry: { attempts: 1 },
      warm: { setup: ['/bin/sh', '-c', '(while :; do sleep 1; done) & echo up'] },
    })
    let second: string | undefined
    for await (const event of job.events()) {
      // Whether the first one was seen running is a matter of chance.
      if (event.kind !== 'attempt' || event.task !== '1' || event.phase !== 'running') continue
      second = event.attempt
      break
    }
    const [id] = await containersOf(host.instance)
    await host.kill()
    // Without a process of the host nobody tells it what to do, so nobody waits for it.
    await until(async () => !(await engine.getContainer(id!).inspect()).State.Running, 'it ended')
    const again = await start()
    for await (const event of job.events()) {
      if (event.kind !== 'attempt' || event.attempt !== second) continue
      if (event.phase === 'lost') break
    }
    expect(await containersOf(host.instance).then((all) => all.includes(id!))).toBe(false)
    await job.cancel()
    await expectNothingLeft(again)
  })

  it('leaves the containers of another host on the same engine alone', async () => {
    const [host, other] = [
      await start(),
      await start({ state: join(dir, 'other'), listen: '/ip4/127.0.0.1/tcp/0' }),
    ]
    const job = await (await connect(other)).submit({ ...HANG, tasks: '1-2' })
    await runningAttempts(job, 2)
    const before = await containersOf(other.instance)
    await host.kill()
    await start()
    expect(await containersOf(other.instance)).toEqual(before)
    await job.cancel()
  })

  it('is alone on its state directory', async () => {
    await start()
    const child = spawn(
      process.execPath,
      [
        '--conditions=@manyhands/source',
        PROGRAM,
        JSON.stringify({ state, listen: '/ip4/127.0.0.1/tcp/0' }),
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    )
    let said = ''
    child.stderr.on('data', (bytes) => {
      said += bytes
    })
    const [code] = await once(child, 'close')
    expect(code).not.toBe(0)
    expect(said).toMatch(/STATE_LOCKED/)
    expect(said).toContain(`process ${processes[0]!.child.pid}`)
  })
})

/** A socket in front of the engine's that is there or not. */
class Door {
  readonly socketPath: string
  readonly #sockets = new Set<Socket>()
  #server: Server | undefined

  constructor(directory: string) {
    this.socketPath = join(directory, 'engine.sock')
  }

  async open(): Promise<void> {
    this.#server = createServer((inside) => {
      const outside = new Socket().connect('/var/run/docker.sock')
      for (const socket of [inside, outside]) {
        this.#sockets.add(socket)
        socket.on('close', () => this.#sockets.delete(socket))
        socket.on('error', () => socket.destroy())
      }
      inside.pipe(outside).pipe(inside)
    }).listen(this.socketPath)
    await once(this.#server, 'listening')
  }

  async close(): Promise<void> {
    const closed = this.#server && once(this.#server, 'close')
    this.#server?.close()
    this.#server = undefined
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }
}

describe.skipIf(!(await engineForTests()))('a host that starts before its engine', () => {
  let door: Door
  beforeEach(async () => {
    door = new Door(dir)
    await door.open()
  })
  afterEach(() => door.close())

  it('says nothing of its attempts, takes them up when the engine is there, and nothing new before', async () => {
    const { socketPath } = door
    const host = await start({ socketPath })
    const job = await (await connect(host)).submit({ ...HANG, tasks: '1-3' })
    const ids = await runningAttempts(job, 3)
    const before = await containersOf(host.instance)
    await host.kill()
    await door.close()
    const again = await start({ socketPath })
    const waiting = await again.see()
    expect(waiting.attempts.map(({ id }) => id).toSorted()).toEqual(ids.toSorted())
    expect(waiting.attempts.map(({ phase }) => phase)).toEqual(Array(3).fill('staging'))
    expect(waiting.offer.runtimes).toEqual([])
    await door.open()
    const running = async () =>
      (await again.see()).attempts.every(({ phase }) => phase === 'running')
    await until(running, 'they are taken up')
    await until(async () => (await again.see()).offer.runtimes.length === 1, 'it is offered')
    expect(await containersOf(host.instance)).toEqual(before)
    await job.cancel()
    await expectNothingLeft(again)
  })

  it('gives them up as its own fault when the engine stays away, and cleans up when it comes', async () => {
    const { socketPath } = door
    const host = await start({ socketPath })
    const job = await (await connect(host)).submit({
      ...HANG,
      tasks: ['x'],
      retry: { attempts: 1 },
    })
    const [id] = await runningAttempts(job, 1)
    await host.kill()
    await door.close()
    const again = await start({ socketPath, engineLost: '500ms' })
    for await (const event of job.events()) {
      if (event.kind !== 'attempt' || event.attempt !== id || event.phase !== 'failed') continue
      expect(event.error).toMatchObject({ code: 'RUNTIME_UNAVAILABLE', blame: 'host' })
      break
    }
    expect(job.counts.failed).toBe(0)
    await door.open()
    await until(async () => (await again.see()).offer.runtimes.length === 1, 'it is offered again')
    await job.cancel()
    await expectNothingLeft(again)
  })
})
