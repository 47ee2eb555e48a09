import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type Client, createClient, type JobEvent } from '@manyhands/client'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const PROGRAM = new URL('./programs/host-process.ts', import.meta.url).pathname

interface HostProcess {
  child: ChildProcess
  peerId: string
  address: string
}

let dir: string
let children: ChildProcess[]
let client: Client | undefined

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'manyhands-test-'))
  children = []
})
afterEach(async () => {
  await client?.close()
  client = undefined
  for (const child of children) child.kill('SIGKILL')
  await rm(dir, { recursive: true, force: true })
})

async function start(name: string, listen = '/ip4/127.0.0.1/tcp/0'): Promise<HostProcess> {
  const options = JSON.stringify({ state: join(dir, name), listen })
  const child = spawn(process.execPath, ['--conditions=@manyhands/source', PROGRAM, options], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  const failed = once(child, 'exit').then(([code]) => {
    throw new Error(`host ${name} ended with ${code} before it was ready`)
  })
  const [line] = await Promise.race([
    once(createInterface({ input: child.stdout! }), 'line'),
    failed,
  ])
  failed.catch(() => {})
  const { peerId, addresses } = JSON.parse(line)
  return { child, peerId, address: addresses[0] }
}

async function kill(host: HostProcess): Promise<void> {
  host.child.kill('SIGKILL')
  await once(host.child, 'exit')
}

async function connect(...hosts: HostProcess[]): Promise<Client> {
  client = await createClient({
    network: { bootstrap: hosts.map((host) => host.address), gossip: false },
    lease: { heartbeat: '200ms' },
  })
  await client.waitForHosts({ min: hosts.length })
  return client
}

async function attemptRunning(events: AsyncIterable<JobEvent>, host: string): Promise<void> {
  for await (const event of events) {
    if (event.kind === 'attempt' && event.phase === 'running' && event.host === host) return
  }
}

describe('a host process that is killed', () => {
  it('costs nothing: its tasks are lost there and done elsewhere, no retry is used', async () => {
    const [a, b] = [await start('a'), await start('b')]
    const borrower = await connect(a, b)
    const job = await borrower.submit({
      runtime: 'scripted',
      image: 'any',
      command: ['run', '--for', '300ms', '--write', 'x.txt={{item}}'],
      tasks: '1-16',
      retry: { attempts: 1 },
    })
    await attemptRunning(job.events(), b.peerId)
    await kill(b)
    const results = await Array.fromAsync(job.results())
    expect(results.map((result) => result.ok)).toEqual(Array(16).fill(true))
    const lost = (await Array.fromAsync(job.events())).filter(
      (event) => event.kind === 'attempt' && event.phase === 'lost',
    )
    expect(lost.length).toBeGreaterThan(0)
    expect(lost.every((event) => event.kind === 'attempt' && event.host === b.peerId)).toBe(true)
  })

  it('is the same host when it comes back, and says what became of its attempts', async () => {
    // Outside of the range that systems take ports from by themselves: it must be free again later.
    const listen = `/ip4/127.0.0.1/tcp/${20_000 + (process.pid % 10_000)}`
    const a = await start('a', listen)
    const borrower = await connect(a)
    const job = await borrower.submit({
      runtime: 'scripted',
      image: 'any',
      command: ['run', '--for', '500ms'],
      tasks: '1-4',
      retry: { attempts: 1 },
    })
    await attemptRunning(job.events(), a.peerId)
    await kill(a)
    const again = await start('a', listen)
    expect(again.peerId).toBe(a.peerId)
    const summary = await job.wait()
    expect(summary.counts).toMatchObject({ completed: 4, failed: 0 })
    // Behind the announcement of the end, so it may be a moment later.
    await expect.poll(() => readdir(join(dir, 'a', 'attempts'))).toEqual([])
  })
})
