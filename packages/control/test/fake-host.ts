import { ManyhandsError, NO_USAGE, type Offer } from '@manyhands/core'
import type { Host, HostAttempt, UsageSample } from '@manyhands/host'

/** A host that records what it is told and owns one attempt, `a1`. */
export interface FakeHost extends Host {
  readonly calls: unknown[][]
  /** How many readers of usage are waiting now. */
  readonly readers: number
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
  const act =
    (name: string) =>
    async (id: string, ...rest: unknown[]) => {
      if (id !== 'a1') throw new ManyhandsError('NOT_FOUND', `attempt ${id} is not on this host`)
      calls.push([name, id, ...rest])
    }
  const host: Omit<FakeHost, keyof EventTarget> = {
    calls,
    get readers() {
      return readers
    },
    peerId: offer.peerId,
    instance: offer.instance,
    addresses: offer.addresses,
    offer,
    attempts: () => [attempt],
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
    kill: act('kill'),
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
    block: async (peer) => {
      calls.push(['block', peer])
    },
    unblock: async (peer) => {
      calls.push(['unblock', peer])
    },
    blocked: [],
    policy: {},
    setPolicy: async (change) => {
      calls.push(['setPolicy', change])
    },
    history: () => [],
    totals: () => ({ since: attempt.since, clients: [], jobs: [] }),
    close: async () => {},
    [Symbol.asyncDispose]: async () => {},
  }
  // Not Object.assign: `readers` has to stay a getter.
  return Object.defineProperties(
    new EventTarget(),
    Object.getOwnPropertyDescriptors(host),
  ) as FakeHost
}
