import { join } from 'node:path'
import { type Client, type ClientOptions, createClient } from '@manyhands/client'
import {
  createNetwork,
  createPrivateNetwork,
  joinPrivateNetwork,
  type Membership,
  type Offer,
} from '@manyhands/core'
import { createHost, type Host, type HostOptions } from '@manyhands/host'
import { beforeEach, describe, expect, it } from 'vitest'
import { scripted } from '../src/index.ts'
import { LendingForTests, untilHolds } from './lending-for-tests.ts'

const LISTEN = ['/ip4/127.0.0.1/tcp/0']
const tests = new LendingForTests()
let owner: Membership

beforeEach(async () => {
  owner = await createPrivateNetwork({ name: 'lab', label: 'owner' })
})

async function host(network: HostOptions['network'], more: Partial<HostOptions> = {}) {
  const made = await createHost({
    runtimes: [scripted()],
    share: { cpus: 4, memory: '8GiB', disk: '8GiB' },
    network: { listen: LISTEN, gossip: false, ...network },
    ...more,
  })
  tests.closers.push(made)
  return made
}

async function client(network: ClientOptions['network'], more: Partial<ClientOptions> = {}) {
  const made = await createClient({
    network: { gossip: false, ...network },
    lease: { heartbeat: '5s' },
    ...more,
  })
  tests.closers.push(made)
  return made
}

const invited = async (role: 'host' | 'client' | 'both', at: Host) =>
  joinPrivateNetwork({ invite: await owner.invite({ role, addresses: at.addresses }), label: role })

const hang = { runtime: 'scripted', image: 'any', command: ['run', '--hang'], tasks: [1] }
const done = {
  runtime: 'scripted',
  image: 'any',
  command: ['run', '--stdout', 'done'],
  tasks: '1-4',
}
const preferring = (peer: string) => ({ rank: ({ peerId }: Offer) => (peerId === peer ? 1 : 0) })

const running = (of: Host) => of.attempts().filter(({ phase }) => phase === 'running')

describe('a private network', () => {
  it('runs a job of a member that has nothing but an invite; a stranger gets no answer', async () => {
    const first = await host({ membership: owner })
    const invite = await owner.invite({ role: 'client', addresses: first.addresses })
    const borrower = await client({ invite }, { state: join(tests.dir, 'client') })
    expect(await borrower.run(done)).toMatchObject({ phase: 'completed', counts: { completed: 4 } })

    await using stranger = await createNetwork({ gossip: false })
    await expect(stranger.connect(first.addresses[0]!)).rejects.toMatchObject({
      code: 'CONNECT_FAILED',
    })
  })

  it('keeps a member over restarts, with its used invite or without it', async () => {
    const first = await host({ membership: owner })
    const invite = await owner.invite({ addresses: first.addresses })
    const state = join(tests.dir, 'client')
    for (const network of [{ invite }, { invite }, {}]) {
      await using borrower = await createClient({ state, network: { gossip: false, ...network } })
      expect(await borrower.waitForHosts()).toHaveLength(1)
    }
    expect(owner.members()).toHaveLength(2)
  })

  it('does not let a client lend nor a host borrow', async () => {
    const first = await host({ membership: owner })
    const asClient = await invited('client', first)
    await expect(host({ membership: asClient })).rejects.toMatchObject({ code: 'ROLE_DENIED' })
    const asHost = await invited('host', first)
    const borrower = await client({ membership: asHost })
    await expect(borrower.submit(done)).rejects.toMatchObject({ code: 'ROLE_DENIED' })
  })

  it('enforces roles at who answers, whatever the other one runs', async () => {
    const first = await host({ membership: owner })
    await using lender = await createNetwork({
      gossip: false,
      membership: await invited('host', first),
    })
    await expect(
      lender.call(first.peerId, 'attempt.cancel', { ids: [], reason: '' }),
    ).rejects.toMatchObject({ code: 'ROLE_DENIED' })
    await expect(lender.call(first.peerId, 'offer.list', {})).resolves.toBeDefined()

    const pretender = await createNetwork({
      gossip: false,
      membership: await invited('client', first),
    })
    tests.closers.push(pretender)
    let asked = 0
    pretender.handle('hello', async () => {
      asked += 1
      return { offer: first.offer, heartbeatMs: 1000 }
    })
    const borrower = await createNetwork({ listen: LISTEN, gossip: false, membership: owner })
    tests.closers.push(borrower)
    await pretender.connect(borrower.addresses[0]!)
    await untilHolds(() => borrower.roleOf?.(pretender.peerId) === 'client')
    await expect(
      borrower.call(pretender.peerId, 'hello', { v: 1, agent: 'test', heartbeatMs: 1000 }),
    ).rejects.toMatchObject({ code: 'ROLE_DENIED' })
    expect(asked).toBe(0)
  })
})

describe('a revoked member', () => {
  it('that borrows has its work ended, hears why, and is let in nowhere', async () => {
    const first = await host({ membership: owner })
    const second = await host({ membership: await invited('host', first) })
    const membership = await invited('client', first)
    const borrower = await client({ membership, bootstrap: second.addresses })
    await borrower.waitForHosts({ min: 2 })
    const job = await borrower.submit({ ...hang, hosts: preferring(second.peerId) })
    await untilHolds(() => running(second).length === 1)
    await owner.revoke(borrower.peerId, { reason: 'left the lab' })
    await untilHolds(() => second.attempts().length === 0)
    await untilHolds(() => membership.state === 'revoked')
    expect(membership.reason).toContain('left the lab')
    await expect(borrower.submit(done)).rejects.toMatchObject({ code: 'NOT_A_MEMBER' })
    await untilHolds(() => borrower.hosts().length === 0)
    const events = await ends(borrower, job.id)
    // By its host, or by what itself was told: whichever came first.
    expect(JSON.stringify(events)).toContain('left the lab')
    await job.cancel()
  })

  it('that lends loses its work at once, and it goes elsewhere', async () => {
    const first = await host(
      { membership: owner },
      { runtimes: [scripted({ script: () => ({ stdout: 'done' }) })] },
    )
    const lending = await invited('host', first)
    const second = await host({ membership: lending })
    const borrower = await client({
      membership: await invited('client', first),
      bootstrap: second.addresses,
    })
    await borrower.waitForHosts({ min: 2 })
    const job = await borrower.submit({
      ...hang,
      retry: { attempts: 1 },
      hosts: preferring(second.peerId),
    })
    await untilHolds(() => running(second).length === 1)
    await owner.revoke(lending.member)
    expect(await job.wait()).toMatchObject({ phase: 'completed' })
    const [result] = await Array.fromAsync(job.results())
    expect(result).toMatchObject({ ok: true, host: first.peerId })
    await untilHolds(() => second.attempts().length === 0)
  })
})

async function ends(borrower: Client, id: string) {
  const job = await borrower.job(id)
  const all = []
  for await (const event of job.events()) {
    if (event.kind !== 'attempt') continue
    all.push(event)
    if (event.phase !== 'offered' && event.phase !== 'running' && event.phase !== 'staging') break
  }
  return all
}
