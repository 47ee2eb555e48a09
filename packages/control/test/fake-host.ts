import { ManyhandsError, NO_USAGE, noOffences, type Offer } from '@manyhands/core'
import type { Host, HostAttempt, HostPolicy, UsageSample, UsageTotals } from '@manyhands/host'

/** A host that records what it is told and owns one attempt, `a1`. */
export interface FakeHost extends Host {
  readonly calls: unknown[][]
  /** How many readers of usage are waiting now. */
  readonly readers: number
  /** What totals() and attempts() answer; a test may change it. */
  readonly attempt: HostAttempt
  readonly sums: UsageTotals
  policy: HostPolicy
  /** What the next kill waits for. */
  killed: Promise<void>
}

export function fakeHost(): FakeHost {
  const calls: unknown[][] = []
  let readers = 0
  const share = { cpus: 4, memoryBytes: 8e9, diskBytes: 5e10, gpus: 0, pids: 4096 }
  const offer: Offer = {
    v: 1,
    peerId: '12D3KooFake',
    instance: 'instance',
    revision: 1,
    addresses: ['/ip4/127.0.0.1/tcp/4001/p2p/12D3KooFake'],
    cpus: 4,
    memory: 8e9,
    disk: 5e10,
    gpus: 0,
    share,
    free: { ...share, cpus: 3 },
    runtimes: [{ name: 'wasm', image: 'artifact', isolation: 'wasm' }],
    platform: { os: 'linux', arch: 'x64', cpu: 'any' },
    labels: {},
    attempts: 1,
    draining: false,
  }
  const attempt: HostAttempt = {
    id: 'a1',
    client: '12D3KooClient',
    job: 'j1',
    jobName: 'demo',
    task: '7',
    runtime: 'wasm',
    image: 'noop.wasm',
    phase: 'running',
    sinceMs: 1000,
    since: '2026-01-01T00:00:00.000Z',
    usage: { ...NO_USAGE, cpu: 0.5, memory: 1024 },
    limits: { cpus: 1, memoryBytes: 512e6, diskBytes: 1e9, gpus: 0, pids: 256 },
    gpuIds: [],
  }
  const sums: UsageTotals = {
    since: attempt.since,
    clients: [
      {
        client: attempt.client,
        live: 1,
        ended: { completed: 3, failed: 1, canceled: 0, lost: 0, evicted: 2 },
        cpu: 0.5,
        memory: 1024,
        cpuMs: 4500,
        runMs: 9000,
        bytesIn: 10,
        bytesOut: 20,
      },
    ],
    jobs: [],
    transfer: {
      sent: 20,
      received: 10,
      lastDay: { sent: 2, received: 1 },
      daily: { upload: 100 },
      peers: [{ peer: attempt.client, sent: 20, received: 10 }],
    },
  }
  sums.jobs.push({ ...sums.clients[0]!, job: 'j1', jobName: 'demo' })
  const blocked = new Set(['12D3KooOld'])
  const act =
    (name: string) =>
    async (id: string, ...rest: unknown[]) => {
      if (id !== 'a1') throw new ManyhandsError('NOT_FOUND', `attempt ${id} is not on this host`)
      calls.push([name, id, ...rest])
    }
  const own: Omit<FakeHost, keyof EventTarget> = {
    calls,
    get readers() {
      return readers
    },
    peerId: offer.peerId,
    instance: offer.instance,
    addresses: offer.addresses,
    offer,
    attempts: () => [attempt],
    connections: () => [
      {
        peer: '12D3KooWSomeClient',
        kind: 'direct',
        address: '/ip4/127.0.0.1/tcp/4001',
        direction: 'inbound',
        openMs: 5000,
        rttMs: 12,
        ...{ bytesIn: 1000, bytesOut: 2000, bytesInPerSecond: 10, bytesOutPerSecond: 20 },
      },
    ],
    bans: () => [{ peer: '12D3KooWBad', offence: 'malformed', times: 1, leftMs: 60_000 }],
    offences: () => ({ ...noOffences(), bans: 2, refused: 9 }),
    networkStatus: () => ({
      offersKnown: 7,
      ...{ bytesIn: 5000, bytesOut: 6000 },
      gossip: { told: 1, taken: 20, known: 3, bad: 4 },
    }),
    async *usage({ attempt: id, signal } = {}) {
      readers += 1
      try {
        for (let elapsedMs = 0; elapsedMs < 2; elapsedMs += 1) {
          const sample = { ...attempt.usage, elapsedMs, attempt: id ?? 'a1', job: 'j1' }
          yield { ...sample, client: attempt.client } satisfies UsageSample
        }
        await new Promise<void>((resolve) => {
          if (signal?.aborted) resolve()
          signal?.addEventListener('abort', () => resolve(), { once: true })
        })
      } finally {
        readers -= 1
      }
    },
    attempt,
    sums,
    killed: Promise.resolve(),
    kill: (id, reason) => act('kill')(id, reason).then(() => host.killed),
    pause: async () => {
      throw new ManyhandsError('UNSUPPORTED', 'this runtime cannot pause')
    },
    resume: act('resume'),
    limit: act('limit'),
    explain: async (request) => {
      calls.push(['explain', request])
      return [{ rule: 'clients', allowed: true, detail: 'anyone', temporary: false }]
    },
    drain: async (options) => {
      calls.push(['drain', options])
      return { completed: 2, evicted: 1 }
    },
    gc: async (options) => {
      calls.push(['gc', options])
      const nothing = { artifacts: 0, files: 0, bytes: 0 }
      return {
        dryRun: options?.dryRun ?? false,
        sections: [{ room: 'artifacts', removed: nothing, kept: [] }],
      }
    },
    block: async (peer) => {
      calls.push(['block', peer])
      blocked.add(peer)
    },
    unblock: async (peer) => {
      calls.push(['unblock', peer])
      blocked.delete(peer)
    },
    get blocked() {
      return [...blocked]
    },
    policy: {
      share: { cpus: 4 },
      policy: { images: ['demo:*'], admit: () => true },
    },
    setPolicy: async (change) => {
      calls.push(['setPolicy', change])
      if (change.share?.cpus === 0) {
        throw new ManyhandsError('CONFIG_INVALID', 'share.cpus: expected a positive number, got 0')
      }
      host.policy = { ...host.policy, ...change }
    },
    history: (id) => {
      if (id !== 'a1') throw new ManyhandsError('NOT_FOUND', `attempt ${id} is not on this host`)
      return [1, 2].map((elapsedMs) => {
        const { client, job } = attempt
        return { ...attempt.usage, elapsedMs, attempt: id, client, job }
      })
    },
    totals: () => sums,
    close: async () => {},
    [Symbol.asyncDispose]: async () => {},
  }
  // Not Object.assign: `readers` has to stay a getter.
  const host = Object.defineProperties(
    new EventTarget(),
    Object.getOwnPropertyDescriptors(own),
  ) as FakeHost
  return host
}
