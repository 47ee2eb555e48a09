import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createNetwork, type Offer } from '@manyhands/core'
import { type AdmissionRequest, createHost, type Host, type RuleVerdict } from '@manyhands/host'
import { afterEach, describe, expect, it } from 'vitest'
import {
  createLocalNetwork,
  type LocalNetwork,
  type LocalNetworkOptions,
  scripted,
} from '../src/index.ts'

let open: LocalNetwork | undefined
let directory: string | undefined

async function network(options: LocalNetworkOptions = {}): Promise<LocalNetwork> {
  open = await createLocalNetwork(options)
  return open
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
}

const hang = (image = 'any') => ({ runtime: 'scripted', image, command: ['run', '--hang'] })
const running = (host: Host) => host.attempts().filter(({ phase }) => phase === 'running')
const verdictOf = (verdicts: RuleVerdict[], rule: string) =>
  verdicts.filter((verdict) => verdict.rule === rule)

const request: AdmissionRequest = {
  client: 'someone',
  runtime: 'scripted',
  image: 'any',
  resources: { cpus: 1, memoryBytes: 1, diskBytes: 1, gpus: 0, pids: 1 },
  timeoutMs: 0,
  networkProfile: 'none',
}

afterEach(async () => {
  await open?.close()
  open = undefined
  if (directory !== undefined) await rm(directory, { recursive: true, force: true })
  directory = undefined
})

describe('setPolicy', () => {
  it('replaces whole sections, and shows what is in force with its functions', async () => {
    const admit = () => true
    const { hosts } = await network({
      hosts: [{ share: { cpus: 2, memory: '1GiB' }, policy: { maxRuntime: '1h', admit } }],
    })
    const [host] = hosts as [Host]
    expect(host.policy).toEqual({
      share: { cpus: 2, memory: '1GiB' },
      policy: { maxRuntime: '1h', admit },
    })
    await host.setPolicy({ share: { cpus: 3 } })
    expect(host.policy.share).toEqual({ cpus: 3 })
    expect(host.policy.policy?.admit).toBe(admit)
    expect(host.offer.share.cpus).toBe(3)
    expect(() => {
      host.policy.share!.cpus = 64
    }).toThrow(TypeError)
  })

  it.each([
    [{ share: { cpus: -1 } }, 'share.cpus'],
    [{ share: { cpus: 1 }, policy: { client: [] } }, 'policy.client'],
    [{ share: { cpus: 1 }, schedule: { hours: 'noon' } }, 'schedule.hours'],
    [{ limits: {} }, 'limits'],
  ])('refuses %j naming the setting, and nothing has changed', async (change, field) => {
    const { hosts } = await network()
    const [host] = hosts as [Host]
    const before = host.policy
    await expect(host.setPolicy(change as never)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(field),
      details: { field },
    })
    expect(host.policy).toBe(before)
    expect(host.offer.share.cpus).toBe(4)
  })

  it('evicts the newest until the sum fits a smaller share; nothing more is taken', async () => {
    const { client, hosts } = await network()
    const [host] = hosts as [Host]
    const job = await client.submit({ ...hang(), tasks: '1-4' })
    await until(() => running(host).length === 4)
    const oldest = running(host).slice(0, 2)
    await host.setPolicy({ share: { cpus: 2, memory: '8GiB' } })
    expect(running(host).map(({ id }) => id)).toEqual(oldest.map(({ id }) => id))
    expect(host.offer.free.cpus).toBe(0)
    const evicted = host.attempts().filter(({ phase }) => phase === 'evicted')
    for (const { reason } of evicted) expect(reason).toMatch(/^policy: share: .*cpus/)
    await job.cancel()
  })

  it('evicts what the lists do not allow any more; the client learns why, no retry is used', async () => {
    const { client, hosts } = await network({
      hosts: [{}, { runtimes: [scripted({ script: () => ({ stdout: 'done' }) })] }],
    })
    const [host, elsewhere] = hosts as [Host, Host]
    const first = { rank: ({ peerId }: Offer) => (peerId === host.peerId ? 1 : 0) }
    const job = await client.submit({
      ...hang('blender:4'),
      tasks: [1],
      retry: { attempts: 1 },
      hosts: first,
    })
    const other = await client.submit({ ...hang('gromacs:1'), tasks: [1], hosts: first })
    await until(() => running(host).length === 2)
    await host.setPolicy({ policy: { images: ['gromacs:*'] } })
    expect(running(host)).toMatchObject([{ image: 'gromacs:1' }])
    expect(await job.wait()).toMatchObject({ phase: 'completed' })
    const [result] = await Array.fromAsync(job.results())
    expect(result).toMatchObject({ ok: true, host: elsewhere.peerId })
    const ends = (await Array.fromAsync(job.events())).filter(
      (event) => event.kind === 'attempt' && event.phase === 'evicted',
    )
    expect(ends).toMatchObject([
      { by: 'host', reason: expect.stringMatching(/^policy: images: image blender:4/) },
    ])
    await other.cancel()
  })

  it.each([
    ['clients', { policy: { clients: ['somebody else'] } }, 0],
    ['maxRuntime', { policy: { maxRuntime: '1m' } }, 0],
    ['share', { share: { cpus: 0.5 } }, 0],
    ['admit', { policy: { admit: () => false } }, 0],
    ['maxAttempts', { policy: { maxAttempts: 1 } }, 1],
    ['quotas.attempts', { policy: { quotas: { perClient: { attempts: 2 } } } }, 2],
    ['quotas.disk', { policy: { quotas: { perClient: { disk: '2.5GiB' } } } }, 2],
  ])('holds %s against what runs', async (rule, change, left) => {
    const { client, hosts } = await network()
    const [host] = hosts as [Host]
    const job = await client.submit({ ...hang(), tasks: '1-3', timeout: '1h' })
    await until(() => running(host).length === 3)
    const before = running(host).map(({ id }) => id)
    const reasons: (string | undefined)[] = []
    host.addEventListener('attempt', (event) => {
      const { phase, reason } = (event as CustomEvent).detail
      if (phase === 'evicted') reasons.push(reason)
    })
    await host.setPolicy(change)
    expect(running(host).map(({ id }) => id)).toEqual(before.slice(0, left))
    expect(reasons).toHaveLength(3 - left)
    for (const reason of reasons) expect(reason).toContain(`policy: ${rule}: `)
    await job.cancel()
  })

  it('leaves alone what runs when a rule only says that there is no room', async () => {
    const { client, hosts } = await network({ hosts: [{ share: { cpus: 1, memory: '8GiB' } }] })
    const [host] = hosts as [Host]
    const job = await client.submit({ ...hang(), tasks: [1] })
    await until(() => running(host).length === 1)
    await host.setPolicy({ policy: { maxAttempts: 1, quotas: { perClient: { attempts: 1 } } } })
    expect(running(host)).toHaveLength(1)
    await job.cancel()
  })
})

describe('explain', () => {
  it('shows every rule’s verdict with numbers', async () => {
    const { client, hosts } = await network({
      hosts: [
        { policy: { quotas: { perClient: { attempts: 4, disk: '2GiB' } }, maxRuntime: '1h' } },
      ],
    })
    const [host] = hosts as [Host]
    const job = await client.submit({ ...hang(), tasks: '1-3', resources: { disk: '512MiB' } })
    await until(() => running(host).length === 3)
    const own = { ...request, client: client.peerId }
    const verdicts = await host.explain({
      ...own,
      resources: { ...request.resources, diskBytes: 1024 ** 3 },
      timeoutMs: 7_200_000,
    })
    expect(verdicts.filter(({ allowed }) => !allowed)).toMatchObject([
      { rule: 'maxRuntime', detail: 'asks for 2h 0m, at most 1h 0m are given', temporary: false },
      {
        rule: 'quotas.disk',
        detail: 'the client uses 1.5 GiB of 2.0 GiB disk, asks for 1.0 GiB more',
        temporary: true,
      },
    ])
    expect(verdictOf(verdicts, 'quotas.attempts')).toMatchObject([
      { allowed: true, detail: 'the client uses 3 of 4 attempts' },
    ])
    expect(verdictOf(verdicts, 'free')[0]?.detail).toMatch(/^free now is 1 cpus, 6\.5 GiB memory/)
    expect(verdictOf(verdicts, 'maxAttempts')[0]?.detail).toBe('3 of 1024 attempts run')
    expect(verdictOf(verdicts, 'schedule.hours')[0]?.detail).toBe('not asked')
    for (const { detail } of verdicts) expect(detail).not.toBe('')
    // Another client has a quota of its own.
    const others = await host.explain(request)
    expect(verdictOf(others, 'quotas.attempts')[0]?.detail).toBe('the client uses 0 of 4 attempts')
    await job.cancel()
  })

  it('refuses an egress that the runtime cannot hold a task to', async () => {
    const { hosts } = await network({
      hosts: [{ policy: { networkProfiles: ['none', 'egress'] } }],
    })
    const verdicts = await hosts[0]!.explain({
      ...request,
      networkProfile: { egress: ['example.org:443'] },
    })
    expect(verdicts.filter(({ allowed }) => !allowed)).toMatchObject([
      { rule: 'networkProfiles', detail: expect.stringContaining('runtime scripted cannot') },
    ])
  })
})

describe('quotas', () => {
  it('hold a client to its attempts at once, and give a named client its own', async () => {
    const { client, hosts, addClient } = await network({
      hosts: [{ policy: { quotas: { perClient: { attempts: 2 } } } }],
    })
    const [host] = hosts as [Host]
    const job = await client.submit({ ...hang(), tasks: '1-9' })
    await until(() => running(host).length === 2)
    const friend = await addClient()
    await friend.waitForHosts({ min: 1 })
    await friend.run({ runtime: 'scripted', image: 'any', command: ['run'], tasks: '1-4' })
    expect(running(host)).toHaveLength(2)
    await host.setPolicy({
      policy: {
        quotas: { perClient: { attempts: 2 }, clients: { [client.peerId]: { attempts: 3 } } },
      },
    })
    await until(() => running(host).length === 3)
    await job.cancel()
  })
})

describe('block', () => {
  it('cuts a client off, evicts its attempts, and holds after a restart until it is taken back', async () => {
    directory = await mkdtemp(join(tmpdir(), 'manyhands-block-'))
    const options = {
      runtimes: [scripted()],
      network: { listen: ['/ip4/127.0.0.1/tcp/0'], gossip: false },
      state: directory,
    }
    await using guest = await createNetwork({ gossip: false })
    {
      await using host = await createHost(options)
      await guest.connect(host.addresses[0]!)
      await guest.call(host.peerId, 'offer.get', {})
      await host.block(guest.peerId)
      expect(host.blocked).toEqual([guest.peerId])
      expect(await host.explain({ ...request, client: guest.peerId })).toContainEqual({
        rule: 'blocked',
        allowed: false,
        detail: 'this client is blocked',
        temporary: false,
      })
      await until(() => !guest.isConnected(host.peerId))
    }
    await using host = await createHost({ ...options, runtimes: [scripted()] })
    expect(host.blocked).toEqual([guest.peerId])
    const greeting = async () => {
      await guest.connect(host.addresses[0]!)
      return guest.call(host.peerId, 'offer.get', {}, { timeoutMs: 2_000 })
    }
    await expect(greeting()).rejects.toMatchObject({ name: 'ManyhandsError' })
    await host.unblock(guest.peerId)
    await host.unblock('nobody')
    expect(host.blocked).toEqual([])
    expect((await greeting()).offer.peerId).toBe(host.peerId)
  })

  it('tells the client why before it is cut off; its task moves on and no retry is used', async () => {
    const { client, hosts } = await network({
      hosts: [{}, { runtimes: [scripted({ script: () => ({ stdout: 'done' }) })] }],
    })
    const [host, elsewhere] = hosts as [Host, Host]
    const job = await client.submit({
      ...hang(),
      tasks: [1],
      retry: { attempts: 1 },
      hosts: { rank: ({ peerId }: Offer) => (peerId === host.peerId ? 1 : 0) },
    })
    await until(() => running(host).length === 1)
    const blocking = host.block(client.peerId)
    // The rule holds from the call on, not from its end on.
    expect(verdictOf(await host.explain({ ...request, client: client.peerId }), 'blocked')).toEqual(
      [expect.objectContaining({ allowed: false, temporary: false })],
    )
    await blocking
    expect(host.attempts()).toEqual([])
    expect(await job.wait()).toMatchObject({ phase: 'completed' })
    const [result] = await Array.fromAsync(job.results())
    expect(result).toMatchObject({ ok: true, host: elsewhere.peerId })
    const events = await Array.fromAsync(job.events())
    const ends = events.filter(
      (event) => event.kind === 'attempt' && ['evicted', 'lost', 'failed'].includes(event.phase),
    )
    expect(ends).toMatchObject([
      { host: host.peerId, phase: 'evicted', by: 'host', reason: 'the client was blocked' },
    ])
    await until(() => client.hosts().every(({ peerId }) => peerId !== host.peerId))
  })

  it('refuses what is no peer id and remembers nothing of it', async () => {
    const { hosts } = await network()
    await expect(hosts[0]!.block('me')).rejects.toMatchObject({ code: 'ADDRESS_INVALID' })
    expect(hosts[0]!.blocked).toEqual([])
  })
})

describe('drain', () => {
  it('without a deadline lets all of it finish', async () => {
    const { client, hosts } = await network()
    const [host] = hosts as [Host]
    const job = await client.submit({
      runtime: 'scripted',
      image: 'any',
      command: ['run', '--for', '300ms'],
      tasks: '1-3',
    })
    await until(() => running(host).length === 3)
    expect(await host.drain({ deadline: 'never' })).toEqual({ completed: 3, evicted: 0 })
    expect(await job.wait()).toMatchObject({ phase: 'completed' })
  })

  it.each(['never', '60d'])('with deadline %s waits, and a later call shortens it', async (far) => {
    const { client, hosts } = await network()
    const [host] = hosts as [Host]
    const job = await client.submit({ ...hang(), tasks: '1-2' })
    await until(() => running(host).length === 2)
    const first = host.drain({ deadline: far })
    expect(host.offer.draining).toBe(true)
    // A farther deadline changes nothing; a nearer one does, with its own reason.
    void host.drain({ deadline: 'never' })
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(running(host)).toHaveLength(2)
    const reasons: string[] = []
    host.addEventListener('attempt', (event) => {
      const { phase, reason } = (event as CustomEvent).detail
      if (phase === 'evicted') reasons.push(reason)
    })
    expect(await host.drain({ deadline: '10ms', reason: 'now' })).toEqual({
      completed: 0,
      evicted: 2,
    })
    expect(await first).toEqual({ completed: 0, evicted: 2 })
    expect(reasons).toEqual(['now', 'now'])
    await job.cancel()
  })

  it('refuses a deadline that is none, and goes on', async () => {
    const { hosts } = await network()
    await expect(hosts[0]!.drain({ deadline: 'soon' })).rejects.toMatchObject({ code: 'USAGE' })
    expect(hosts[0]!.offer.draining).toBe(false)
  })
})
