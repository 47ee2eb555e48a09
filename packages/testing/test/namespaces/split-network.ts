import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JobSpec } from '@manyhands/core'
import { AskedProcess } from './asked-process.ts'
import { type Bed, createBed, type PublicOptions } from './bed.ts'
import type { Borrowing, BorrowingOptions, JobReport } from './borrowing-process.ts'
import type { CutKind } from './cut.ts'
import type { Lending, LendingOptions } from './lending-process.ts'
import { createSlowBed, type SlowBed } from './slow-way.ts'

/** A word of the client on what happens. */
export interface Told {
  result?: string
  attempt?: string
  task?: string
  host?: string
  phase?: string
  transfer?: string
}

export interface LendingPlace {
  name: string
  peerId: string
  process: AskedProcess<Lending>
  /** Tasks that began to run there, in order. */
  ran: string[]
}

export interface SplitOptions {
  heartbeatMs: number
  hosts: string[]
  cpus?: number
  /** Of the client's line. */
  rate?: string
  /** Hosts and client know each other from the first host alone, and by gossip; default: the client knows all. */
  gossip?: boolean
  /** Ways are such that they can be made slow and lossy, in place of such that can be cut. */
  slow?: boolean
}

/** How a way is cut: packets vanish, in both directions or in one, or connections are reset. */
export type SplitKind = 'drop' | 'drop what the client sends' | 'drop what hosts send' | 'reset'

/** What became of a job that ran through a split. */
export interface SplitReport extends JobReport {
  id: string
  /** From the healing until both sides knew all of each other again, ms. */
  convergedMs: number
  /** How often each host was reached anew since the split began, and asked for an inventory. */
  asked: Record<string, { reached: number; inventories: number }>
  /** Runs that began, by task, at all hosts. */
  ran: Record<string, number>
  /** How long it really was. */
  splitMs: number
}

/** A client and hosts in namespaces, and the ways between them, which can be cut. */
export class SplitNetwork implements AsyncDisposable {
  /** What can be cut, or what is slow. */
  readonly bed: Bed | undefined
  readonly slow: SlowBed | undefined
  readonly client: AskedProcess<Borrowing>
  readonly hosts: LendingPlace[]
  readonly heartbeatMs: number
  readonly #all: AsyncDisposableStack

  private constructor(
    beds: { bed?: Bed; slow?: SlowBed },
    client: AskedProcess<Borrowing>,
    hosts: LendingPlace[],
    heartbeatMs: number,
    all: AsyncDisposableStack,
  ) {
    this.bed = beds.bed
    this.slow = beds.slow
    this.client = client
    this.hosts = hosts
    this.heartbeatMs = heartbeatMs
    this.#all = all
  }

  static async create(options: SplitOptions): Promise<SplitNetwork> {
    const { heartbeatMs, hosts, cpus, rate } = options
    await using opening = new AsyncDisposableStack()
    const dir = await mkdtemp(join(tmpdir(), 'manyhands-split-'))
    opening.defer(() => rm(dir, { recursive: true, force: true }))
    const lines: Record<string, PublicOptions> = { client: rate === undefined ? {} : { rate } }
    for (const name of hosts) lines[name] = {}
    const beds: { bed?: Bed; slow?: SlowBed } = {}
    if (options.slow) beds.slow = opening.use(await createSlowBed('client', hosts))
    else beds.bed = opening.use(await createBed({ public: lines }))
    const place = (name: string) => (beds.bed ?? beds.slow!).place(name)
    const lending: (LendingPlace & { address: string })[] = []
    const lend = async (name: string): Promise<void> => {
      const { namespace, address } = place(name)
      const lent: LendingOptions = { address, state: join(dir, name) }
      if (cpus !== undefined) lent.cpus = cpus
      if (options.gossip) {
        lent.gossip = true
        lent.bootstrap = lending.slice(0, 1).map((first) => first.address)
      }
      const { process, ready } = await AskedProcess.start<
        Lending,
        { peerId: string; address: string }
      >(namespace, './lending-process.ts', lent)
      opening.use(process)
      const ran: string[] = []
      process.onTold<{ ran: string }>((told) => ran.push(told.ran))
      lending.push({ name, process, ran, ...ready })
    }
    const [first, ...others] = hosts
    if (first !== undefined) await lend(first)
    await Promise.all(others.map(lend))
    lending.sort((one, other) => hosts.indexOf(one.name) - hosts.indexOf(other.name))
    const borrowed: BorrowingOptions = {
      state: join(dir, 'client'),
      bootstrap: lending.slice(0, options.gossip ? 1 : undefined).map(({ address }) => address),
      hosts: hosts.length,
      heartbeat: `${heartbeatMs}ms`,
    }
    const { process } = await AskedProcess.start<Borrowing, object>(
      place('client').namespace,
      './borrowing-process.ts',
      borrowed,
    )
    opening.use(process)
    return new SplitNetwork(beds, process, lending, heartbeatMs, opening.move())
  }

  /** L: the lease. */
  get leaseMs(): number {
    return 6 * this.heartbeatMs
  }

  /** Resolves when the client has told of so many things. */
  told(what: (told: Told) => boolean, times = 1): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    let left = times
    const stop = this.client.onTold<Told>((told) => {
      if (what(told)) left -= 1
      if (left > 0) return
      stop()
      resolve()
    })
    return promise
  }

  /**
   * Runs a job, and cuts the client from hosts when the moment has come.
   *
   * @param split.leases - how long, in leases
   * @param split.moment - resolves when it begins; asked for before the job is submitted
   */
  async run(
    spec: JobSpec<unknown>,
    split: {
      kind: SplitKind
      leases: number
      hosts?: string[]
      moment: () => Promise<void>
      during?: () => Promise<void>
      /** Random bytes that every task has at /in/large. */
      largeBytes?: number
    },
  ): Promise<SplitReport> {
    const names = split.hosts ?? this.hosts.map(({ name }) => name)
    const before = new Map(this.hosts.map(({ name, ran }) => [name, ran.length]))
    const moment = split.moment()
    const { largeBytes } = split
    const wish = largeBytes === undefined ? { spec } : { spec, largeBytes }
    const { id } = await this.client.ask('submit', wish)
    await moment
    const earlier = await this.client.ask('view', {})
    const cutAt = performance.now()
    const cut = await this.#cut(names, split.kind)
    await split.during?.()
    const restMs = split.leases * this.leaseMs - (performance.now() - cutAt)
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, restMs)))
    const healedAt = performance.timeOrigin + performance.now()
    await cut.heal()
    const splitMs = performance.now() - cutAt
    const convergedMs = await this.#converged(names, healedAt, earlier)
    const report = await this.client.ask('report', { id })
    const later = await this.client.ask('view', {})
    const ran: Record<string, number> = {}
    for (const host of this.hosts) {
      for (const task of host.ran.slice(before.get(host.name))) ran[task] = (ran[task] ?? 0) + 1
    }
    const since = (peer: string, what: 'reached' | 'inventories') =>
      (later[peer]?.[what] ?? 0) - (earlier[peer]?.[what] ?? 0)
    const asked = Object.fromEntries(
      this.hosts.map(({ name, peerId }) => [
        name,
        { reached: since(peerId, 'reached'), inventories: since(peerId, 'inventories') },
      ]),
    )
    return { ...report, id, convergedMs, asked, ran, splitMs }
  }

  #cut(hosts: string[], kind: SplitKind) {
    if (kind === 'reset' || kind === 'drop') {
      return this.bed!.cut('client', hosts, { kind: kind satisfies CutKind })
    }
    const ways = { kind: 'drop', ways: 'one' } as const
    return kind === 'drop what the client sends'
      ? this.bed!.cut('client', hosts, ways)
      : this.bed!.cut(hosts, 'client', ways)
  }

  /** Until the client has heard of every host, and hosts hold nothing that it has no more use for. */
  async #converged(
    names: string[],
    healedAt: number,
    earlier: Record<string, { inventories: number }>,
  ): Promise<number> {
    const cut = this.hosts.filter(({ name }) => names.includes(name))
    for (;;) {
      const view = await this.client.ask('view', {})
      const known = cut.every(({ peerId }) => {
        const { present, renewedAt, inventoryAt, inventories } = view[peerId]!
        const asked = inventories === earlier[peerId]!.inventories || inventoryAt > healedAt
        return present && renewedAt > healedAt && asked
      })
      if (known) return performance.timeOrigin + performance.now() - healedAt
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#all.disposeAsync()
  }
}
