import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type Client, type ClientOptions, createClient } from '@manyhands/client'
import { createHost, type Host, type HostAttempt, type HostOptions } from '@manyhands/host'
import { afterEach, beforeEach } from 'vitest'
import { scripted } from '../src/index.ts'

const SUBMITTING = new URL('./programs/submitting-process.ts', import.meta.url).pathname

export interface Lent {
  hosts: Host[]
  /** Attempts that ran, by task. */
  ran: Map<string, Set<string>>
}

export const addressesOf = (hosts: Host[]) => hosts.flatMap((host) => host.addresses)

export const untilHolds = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
}

/** Hosts in this process, and clients here and in processes that are killed, for each test of a file. */
export class LendingForTests {
  dir = ''
  /** Closed at the end of the test, the latest first. */
  closers: AsyncDisposable[] = []
  /** Killed at the end of the test. */
  children: ChildProcess[] = []

  constructor() {
    beforeEach(async () => {
      this.dir = await mkdtemp(join(tmpdir(), 'manyhands-test-'))
      this.closers = []
      this.children = []
    })
    afterEach(async () => {
      for (const child of this.children) child.kill('SIGKILL')
      for (const closer of this.closers.reverse()) await closer[Symbol.asyncDispose]()
      await rm(this.dir, { recursive: true, force: true })
    })
  }

  async lend(count = 1, options: Partial<HostOptions> = {}): Promise<Lent> {
    const lent: Lent = { hosts: [], ran: new Map() }
    for (let n = 0; n < count; n += 1) {
      const host = await createHost({
        runtimes: [scripted()],
        share: { cpus: 4, memory: '8GiB', disk: '8GiB' },
        network: { listen: ['/ip4/127.0.0.1/tcp/0'], gossip: false },
        ...options,
      })
      host.addEventListener('attempt', (event) => {
        const { id, task, phase } = (event as CustomEvent<HostAttempt>).detail
        if (phase === 'running') lent.ran.set(task, (lent.ran.get(task) ?? new Set()).add(id))
      })
      lent.hosts.push(host)
      this.closers.push(host)
    }
    return lent
  }

  /** A client with a state, and so an identity, of that name. */
  async client(name: string, hosts: Host[], options: ClientOptions = {}): Promise<Client> {
    const client = await createClient({
      state: join(this.dir, name),
      network: { bootstrap: addressesOf(hosts), gossip: false },
      lease: { heartbeat: '200ms' },
      ...options,
    })
    this.closers.push(client)
    return client
  }

  /** A client process that submits a job, and is killed as soon as it has told of so many results. */
  async killedAfter(
    results: number,
    name: string,
    hosts: Host[],
    what: object,
  ): Promise<{ id: string; ownerKey: string; told: string[] }> {
    const options = { state: join(this.dir, name), bootstrap: addressesOf(hosts), ...what }
    const child = spawn(
      process.execPath,
      ['--conditions=@manyhands/source', SUBMITTING, JSON.stringify(options)],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    this.children.push(child)
    const exited = once(child, 'exit')
    const told: string[] = []
    let submitted: { id: string; ownerKey: string } | undefined
    for await (const line of createInterface({ input: child.stdout })) {
      const said = JSON.parse(line)
      if (said.id !== undefined) submitted ??= said
      if (said.key !== undefined) told.push(said.key)
      if (told.length >= results && submitted !== undefined) child.kill('SIGKILL')
    }
    await exited
    return { ...submitted!, told }
  }
}
