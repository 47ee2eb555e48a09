import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from '@manyhands/client'
import {
  createNetwork,
  type GpuDevice,
  type Network,
  type Offer,
  type Runtime,
  type RuntimeSpec,
} from '@manyhands/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createLocalNetwork, type LocalNetwork, scripted } from '../src/index.ts'

const GIB = 1024 ** 3
const GPUS: GpuDevice[] = [
  { id: 'GPU-a', model: 'NVIDIA RTX 4090', memoryBytes: 24 * GIB },
  { id: 'GPU-b', model: 'NVIDIA T4', memoryBytes: 16 * GIB },
]
const SECRET = 'correct-horse-battery-staple'

let dir: string
let network: LocalNetwork | undefined

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'manyhands-test-'))
})
afterEach(async () => {
  await network?.close()
  network = undefined
  await rm(dir, { recursive: true, force: true })
})

/** A runtime that says it can, and remembers what it was given. */
function able(given: RuntimeSpec[], can: { gpus?: GpuDevice[]; secrets?: boolean }): Runtime {
  const runtime = scripted()
  return {
    ...runtime,
    name: runtime.name,
    capabilities: { ...runtime.capabilities, gpus: true, secrets: can.secrets ?? true },
    open: (context) => runtime.open(context),
    fingerprint: async () => ({ ...(await runtime.fingerprint()), gpus: can.gpus ?? [] }),
    start: (spec, workspace, options) => {
      given.push(spec)
      const { secrets: _, ...rest } = spec
      return runtime.start({ ...rest, gpuIds: [] }, workspace, options)
    },
    recover: (handle) => runtime.recover(handle),
    list: () => runtime.list(),
    close: () => runtime.close(),
  }
}

const job = (...script: string[]) => ({
  runtime: 'scripted',
  image: 'any',
  command: ['run', ...script],
})

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
}

describe('GPUs', () => {
  it('are offered as they are, given one by one and back at the end', async () => {
    const given: RuntimeSpec[] = []
    network = await createLocalNetwork({
      hosts: [{ runtimes: [able(given, { gpus: GPUS })], share: { gpus: 'all' } }],
    })
    const [host] = network.hosts
    expect(host!.offer).toMatchObject({
      gpus: 2,
      gpuModels: GPUS.map(({ model, memoryBytes }) => ({ model, memoryBytes })),
    })
    const one = await network.client.submit({
      ...job('--hang'),
      tasks: [1],
      resources: { cpus: 0.1, gpus: { count: 1, model: 'rtx' } },
    })
    await until(() => given.length === 1)
    expect(given[0]!.gpuIds).toEqual(['GPU-a'])
    expect(host!.attempts()[0]!.gpuIds).toEqual(['GPU-a'])
    const two = await network.client.submit({
      ...job(),
      tasks: [1],
      resources: { cpus: 0.1, gpus: 2 },
    })
    const verdicts = await host!.explain({
      client: 'x',
      runtime: 'scripted',
      image: 'any',
      resources: { cpus: 0.1, memoryBytes: 1, diskBytes: 1, gpus: 2, pids: 1 },
      timeoutMs: 0,
      networkProfile: 'none',
    })
    expect(verdicts.find(({ rule, allowed }) => rule === 'gpus' && !allowed)).toMatchObject({
      temporary: true,
      detail: expect.stringContaining('1 such are free now'),
    })
    await one.cancel()
    expect((await two.wait()).counts.completed).toBe(1)
    expect(given[1]!.gpuIds.toSorted()).toEqual(['GPU-a', 'GPU-b'])
  })

  it('are lent by the policy: unknown ids change nothing, what holds one that is lent no more goes', async () => {
    const given: RuntimeSpec[] = []
    network = await createLocalNetwork({
      hosts: [{ runtimes: [able(given, { gpus: GPUS })], share: { cpus: 4, gpus: 'all' } }],
    })
    const host = network.hosts[0]!
    const ask = (model: string) =>
      network!.client.submit({
        ...job('--hang'),
        tasks: [1],
        resources: { cpus: 0.1, gpus: { count: 1, model } },
      })
    // The oldest has the one that goes: it is not the sum that decides.
    const onT4 = await ask('T4')
    await until(() => given.length === 1)
    const onRtx = await ask('RTX')
    await until(() => host.attempts().filter(({ phase }) => phase === 'running').length === 2)
    const before = host.policy
    await expect(
      host.setPolicy({ share: { cpus: 1, gpus: ['GPU-a', 'GPU-x'] } }),
    ).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/GPU-x$/),
      hint: expect.stringContaining('GPU-a, GPU-b'),
      details: { field: 'share.gpus' },
    })
    expect(host.policy).toBe(before)
    expect(host.offer).toMatchObject({ gpus: 2, share: { cpus: 4 } })
    const reasons: string[] = []
    host.addEventListener('attempt', (event) => {
      const { phase, reason } = (event as CustomEvent).detail
      if (phase === 'evicted') reasons.push(reason)
    })
    await host.setPolicy({ share: { cpus: 4, gpus: ['GPU-a'] } })
    expect(host.offer.gpuModels).toMatchObject([{ model: 'NVIDIA RTX 4090' }])
    const running = () => host.attempts().filter(({ phase }) => phase === 'running')
    expect(running().map(({ gpuIds }) => gpuIds)).toEqual([['GPU-a']])
    expect(reasons).toEqual([expect.stringMatching(/^policy: gpus: /)])
    // A count lends the first ones, 'all' everything there is.
    await host.setPolicy({ share: { cpus: 4, gpus: 1 } })
    expect(running()).toHaveLength(1)
    expect(host.offer.gpus).toBe(1)
    await host.setPolicy({ share: { cpus: 4, gpus: 'all' } })
    expect(host.offer.gpus).toBe(2)
    await host.setPolicy({ share: { cpus: 4 } })
    expect(running()).toEqual([])
    await Promise.all([onT4.cancel(), onRtx.cancel()])
  })

  it('are none where no driver answers', async () => {
    network = await createLocalNetwork({ hosts: [{ share: { gpus: 'all' } }] })
    expect(network.hosts[0]!.offer.gpus).toBe(0)
    await expect(
      network.client.run({
        ...job(),
        tasks: [1],
        resources: { gpus: 1 },
        hosts: { wait: '200ms' },
      }),
    ).rejects.toMatchObject({ code: 'NO_HOSTS' })
  })
})

describe('secrets', () => {
  it('reach the sandbox, and no disk, event, log or result on the way', async () => {
    const given: RuntimeSpec[] = []
    const said: unknown[] = []
    const logger = {
      debug: (...all: unknown[]) => said.push(all),
      warn: (...all: unknown[]) => said.push(all),
    }
    network = await createLocalNetwork({
      hosts: [{ runtimes: [able(given, {})], state: join(dir, 'host'), logger }],
      client: { state: join(dir, 'client'), logger },
    })
    const running = await network.client.submit({
      ...job('--for', '200ms', '--stdout', 'x'),
      tasks: [1, 2],
      secrets: { token: SECRET, key: new Uint8Array([0, 255, 7]) },
    })
    const results = await Array.fromAsync(running.results())
    expect(results.map(({ ok }) => ok)).toEqual([true, true])
    expect(Buffer.from(given[0]!.secrets!['token']!).toString()).toBe(SECRET)
    expect(given[0]!.secrets!['key']).toEqual(new Uint8Array([0, 255, 7]))
    const { secrets: _, ...rest } = given[0]!
    const events = await Array.fromAsync(running.events())
    const [host] = network.hosts
    for (const told of [rest, results, events, said, host!.attempts(), host!.totals()]) {
      expect(JSON.stringify(told)).not.toContain(SECRET)
    }
    for (const name of await readdir(dir, { recursive: true })) {
      const bytes = await readFile(join(dir, name)).catch(() => Buffer.alloc(0))
      expect(bytes.includes(SECRET), name).toBe(false)
    }
  })

  it('are refused before anything starts by a runtime that cannot keep them', async () => {
    const given: RuntimeSpec[] = []
    network = await createLocalNetwork({
      hosts: [{ runtimes: [able(given, { secrets: false })] }],
    })
    await expect(
      network.client.run({
        ...job(),
        tasks: [1],
        secrets: { token: SECRET },
        hosts: { wait: '300ms' },
      }),
    ).rejects.toMatchObject({ code: 'NO_HOSTS' })
    expect(given).toEqual([])
  })

  it('are told to nobody but the host that has the attempt, and only while it has it', async () => {
    const listen = ['/ip4/127.0.0.1/tcp/0']
    await using host = await createNetwork({ listen, gossip: false })
    await using stranger = await createNetwork({ listen, gossip: false })
    const offer = offerOf(host.peerId, host.addresses)
    const offered = Promise.withResolvers<string>()
    host.handle('hello', async ({ heartbeatMs }) => ({ offer, heartbeatMs }))
    host.handle('offer.list', async () => ({ offers: [offer] }))
    host.handle('attempt.inventory', async () => ({ attempts: [] }))
    host.handle('attempt.cancel', async () => ({}))
    host.handle('attempt.offer', async ({ attempts: [first] }) => {
      offered.resolve(first!.id)
      return { answers: [{ id: first!.id, accepted: true }], offer }
    })
    await using client = await createClient({
      network: { bootstrap: [...host.addresses, ...stranger.addresses], gossip: false },
    })
    await client.waitForHosts()
    const running = await client.submit({ ...job(), tasks: [1], secrets: { token: SECRET } })
    const id = await offered.promise
    const ask = (network: Network) => network.call(client.peerId, 'attempt.secrets', { id })
    expect(await ask(host)).toEqual({ secrets: { token: new Uint8Array(Buffer.from(SECRET)) } })
    await expect(ask(stranger)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await running.cancel()
    await expect(ask(host)).rejects.toMatchObject({
      code: 'NOT_FOUND',
      hint: expect.stringContaining('submit it again'),
    })
  })
})

function offerOf(peerId: string, addresses: string[]): Offer {
  const share = { cpus: 4, memoryBytes: GIB, diskBytes: 4 * GIB, gpus: 0, pids: 1000 }
  return {
    v: 1,
    peerId,
    instance: 'fake',
    revision: 1,
    addresses,
    cpus: share.cpus,
    memory: share.memoryBytes,
    disk: share.diskBytes,
    gpus: 0,
    share,
    free: share,
    runtimes: [{ name: 'scripted', image: 'named', isolation: 'none' }],
    platform: { os: 'linux', arch: 'x64', cpu: 'any' },
    labels: {},
    attempts: 0,
    draining: false,
  }
}
