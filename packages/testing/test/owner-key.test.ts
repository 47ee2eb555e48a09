import { randomBytes } from 'node:crypto'
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import type { ClientOptions } from '@manyhands/client'
import {
  createIdentity,
  createNetwork,
  decodeDocument,
  encodeDocument,
  type JobClaim,
  type JobSpec,
  LIMITS,
  ManyhandsError,
  receiptKey,
  signJobClaim,
} from '@manyhands/core'
import type { Host, HostAttempt } from '@manyhands/host'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { addressesOf, LendingForTests, type Lent, untilHolds } from './lending-for-tests.ts'

const tested = new LendingForTests()
/** A client on a machine of that name: with a state and an identity of its own. */
const machine = (name: string, hosts: Host[], options?: ClientOptions) =>
  tested.client(name, hosts, options)
/** Machine A: it submits, tells its key, and is killed when so many results were told of. */
const killedAfter = (results: number, hosts: Host[], spec: Partial<JobSpec>) =>
  tested.killedAfter(results, 'a', hosts, { spec, key: true })

const job = (...command: string[]): Pick<JobSpec, 'runtime' | 'image' | 'command'> => ({
  runtime: 'scripted',
  image: 'any',
  command: ['run', ...command],
})
/** The public half of an owner key. */
const ownerOf = (ownerKey: string) => createIdentity(seedOf(ownerKey)).peerId
const seedOf = (ownerKey: string) => Buffer.from(unpacked(ownerKey).ownership.seed, 'hex')
function unpacked(ownerKey: string) {
  const packed = Buffer.from(ownerKey.slice('mhjob1.'.length), 'base64url')
  return decodeDocument(z.any(), inflateRawSync(packed), 'owner key')
}
/** An owner key of which only one host is to be found. */
function leadingTo({ addresses }: Host, ownerKey: string): string {
  const key = { ...unpacked(ownerKey), hosts: [{ addresses: [...addresses] }] }
  return `mhjob1.${deflateRawSync(encodeDocument(key)).toString('base64url')}`
}
const numbers = (upTo: number) => Array.from({ length: upTo }, (_, n) => n + 1)
const onceEach = ({ ran }: Lent) => [...ran.values()].every((attempts) => attempts.size === 1)

describe('a job whose machine is gone', () => {
  it('goes on at another machine that has its key, and nothing is computed twice', async () => {
    const lent = await tested.lend(2)
    const { hosts } = lent
    const spec = { ...job('--for', '150ms', '--write', 'x={{item}}'), tasks: '1-40' }
    const { id, ownerKey, told } = await killedAfter(9, hosts, spec)
    // What runs when it dies ends while nobody is there.
    await untilHolds(() =>
      hosts.every((host) => host.attempts().every(({ phase }) => phase !== 'running')),
    )
    const b = await machine('b', hosts)
    const attached = await b.attach(ownerKey)
    expect(attached.id).toBe(id)
    const results = await Array.fromAsync(attached.results())
    expect(attached.phase).toBe('completed')
    // Also what A had accepted: its hosts have kept it.
    expect(results.map(({ key }) => Number(key)).toSorted((x, y) => x - y)).toEqual(numbers(40))
    for (const { key, outputs } of results) {
      expect(new TextDecoder().decode(await outputs.read('x'))).toBe(key)
    }
    expect(told.length).toBeGreaterThanOrEqual(9)
    expect(lent.ran.size).toBe(40)
    expect([...lent.ran].filter(([, ids]) => ids.size > 1)).toEqual([])
    expect(new Set(results.map(({ receipt }) => receipt!.client)).size).toBe(2)
    // Nothing is kept there for anybody any more.
    await untilHolds(() => hosts.every((host) => host.attempts().length === 0))
    // A comes back, and is told.
    const a = await machine('a', hosts)
    const old = await a.job(id)
    await expect(old.wait()).rejects.toMatchObject({ code: 'JOB_TAKEN' })
    expect(old.phase).toBe('paused')
    expect(old.counts.completed).toBeGreaterThanOrEqual(9)
    expect(onceEach(lent)).toBe(true)
  })

  it('has its inputs from the hosts that have them, and else wants them again', async () => {
    const lent = await tested.lend(1, { share: { cpus: 2, memory: '8GiB', disk: '8GiB' } })
    const [here, elsewhere] = [join(tested.dir, 'here.txt'), join(tested.dir, 'elsewhere.txt')]
    await writeFile(here, 'sent')
    await writeFile(elsewhere, 'never sent')
    const a = await machine('a', lent.hosts)
    const submitted = await a.submit({
      ...job('--for', '300ms', '--cat', 'x'),
      tasks: [1, 2, 3, 4, 5],
      task: (n) => ({ inputs: { '/in/x': n < 5 ? here : elsewhere } }),
    })
    await untilHolds(() => lent.ran.size === 2)
    const ownerKey = await submitted.ownerKey()
    await submitted.pause()
    const [moved, movedToo] = [join(tested.dir, 'moved.txt'), join(tested.dir, 'moved-too.txt')]
    await rename(elsewhere, moved)
    await rename(here, movedToo)
    const b = await machine('b', lent.hosts)
    const waiting = await b.attach(ownerKey)
    await expect(waiting.wait()).rejects.toMatchObject({
      code: 'HOOKS_MISSING',
      message: expect.stringContaining(`input ${elsewhere}`),
    })
    await expect(waiting.wait()).rejects.not.toMatchObject({
      message: expect.stringContaining(here),
    })
    const attached = await b.attach(ownerKey, { inputs: [moved] })
    const results = await Array.fromAsync(attached.results({ ordered: true }))
    expect(results.map(({ stdoutTail }) => stdoutTail)).toEqual([
      ...Array(4).fill('sent'),
      'never sent',
    ])
    expect(onceEach(lent)).toBe(true)
  })

  it('wants its functions again, and reads its source on from where it was', async () => {
    const lent = await tested.lend(1)
    const { ownerKey } = await killedAfter(2, lent.hosts, {
      ...job('--for', '20ms'),
      resources: { cpus: 0.2, memory: '16MiB', disk: 0 },
      tasks: '1-1200',
    })
    const b = await machine('b', lent.hosts)
    const attached = await b.attach(ownerKey)
    expect(await attached.wait()).toMatchObject({ counts: { completed: 1200 } })
    expect(onceEach(lent)).toBe(true)
  })
})

describe('a job that another machine takes from one that lives', () => {
  it('is taken whole: the first one is told at once, and accepts nothing more', async () => {
    const lent = await tested.lend(2)
    const a = await machine('a', lent.hosts)
    const first = await a.submit({ ...job('--for', '150ms'), tasks: '1-40' })
    const reading = first.results()[Symbol.asyncIterator]()
    await reading.next()
    const ownerKey = await first.ownerKey()
    const b = await machine('b', lent.hosts)
    const second = await b.attach(ownerKey)
    await expect(first.wait()).rejects.toMatchObject({ code: 'JOB_TAKEN' })
    const accepted = first.counts.completed
    expect(first).toMatchObject({ phase: 'paused' })
    await expect(first.resume()).rejects.toMatchObject({ code: 'JOB_TAKEN' })
    await expect(first.pause({ stop: true })).rejects.toMatchObject({ code: 'JOB_TAKEN' })
    await expect(first.ownerKey()).rejects.toMatchObject({ code: 'JOB_TAKEN' })
    await expect(a.attach(ownerKey)).rejects.toMatchObject({ code: 'JOB_CONFLICT' })
    expect(await second.wait()).toMatchObject({ phase: 'completed', counts: { completed: 40 } })
    expect(onceEach(lent)).toBe(true)
    expect(first.counts.completed).toBe(accepted)
    // Attached again it is the same job.
    expect((await b.attach(ownerKey)).counts.completed).toBe(40)
    await a.close()
  })

  it('goes from hand to hand: the key that was used last counts', async () => {
    const lent = await tested.lend(1)
    const a = await machine('a', lent.hosts)
    const spec = { ...job('--for', '200ms'), tasks: '1-24' }
    const first = await a.submit(spec)
    const ownerKey = await first.ownerKey()
    await untilHolds(() => first.counts.completed >= 4)
    const second = await (await machine('b', lent.hosts)).attach(ownerKey)
    await untilHolds(() => second.counts.completed >= 8)
    const third = await (await machine('c', lent.hosts)).attach(ownerKey)
    await expect(second.wait()).rejects.toMatchObject({ code: 'JOB_TAKEN' })
    expect(await third.wait()).toMatchObject({ counts: { completed: 24 } })
    expect(onceEach(lent)).toBe(true)
  })

  it('stays where it is when the host does not take the other one', async () => {
    const a = await machine('a', [])
    const lent = await tested.lend(1, { policy: { clients: [a.peerId] } })
    await a.close()
    const again = await machine('a', lent.hosts)
    const first = await again.submit({ ...job('--for', '150ms'), tasks: '1-12' })
    const ownerKey = await first.ownerKey()
    const b = await machine('b', lent.hosts)
    await expect(b.attach(ownerKey)).rejects.toMatchObject({
      code: 'HOST_REFUSED',
      details: { rule: 'clients' },
    })
    expect(b.jobs()).toEqual([])
    expect(await first.wait()).toMatchObject({ phase: 'completed', counts: { completed: 12 } })
    expect(onceEach(lent)).toBe(true)
  })

  it('is not accepted here any more from hosts that do not take the other one', async () => {
    const a = await machine('a', [])
    await a.close()
    const share = { cpus: 1, memory: '8GiB', disk: '8GiB' }
    const open = await tested.lend(1, { share })
    const closed = await tested.lend(1, { share, policy: { clients: [a.peerId] } })
    const hosts = [...open.hosts, ...closed.hosts]
    const again = await machine('a', hosts)
    const first = await again.submit({ ...job('--for', '700ms'), tasks: '1-4' })
    const ownerKey = await first.ownerKey()
    await untilHolds(() => open.ran.size === 1 && closed.ran.size === 1)
    const second = await (await machine('b', hosts)).attach(ownerKey)
    await expect(first.wait()).rejects.toMatchObject({ code: 'JOB_TAKEN' })
    await untilHolds(() => closed.hosts[0]!.attempts().every(({ phase }) => phase === 'completed'))
    expect(await second.wait()).toMatchObject({ counts: { completed: 4 } })
    expect(first.counts.completed).toBe(0)
    expect(closed.hosts[0]!.attempts()).toHaveLength(1)
  })

  it('cannot be taken without its key, and nobody is believed who says that it was', async () => {
    const { hosts } = await tested.lend(1)
    const [host] = hosts
    const a = await machine('a', hosts)
    const first = await a.submit({ ...job('--for', '400ms'), tasks: '1-8' })
    const ownerKey = await first.ownerKey()
    await untilHolds(() => host!.attempts().length > 0)
    const seed = randomBytes(32)
    const peer = await createNetwork({
      privateKey: seed,
      bootstrap: host!.addresses,
      gossip: false,
    })
    tested.closers.push({ [Symbol.asyncDispose]: () => peer.close() })
    const owner = ownerOf(ownerKey)
    const challenge = async () => (await peer.call(host!.peerId, 'job.challenge', { owner })).nonce
    const claim = async (change: Partial<JobClaim> = {}, key = receiptKey(seed)) =>
      signJobClaim(
        {
          v: 1,
          ...{ job: first.id, owner, epoch: 1, host: host!.peerId, client: peer.peerId },
          nonce: change.nonce ?? (await challenge()),
          ...change,
        },
        key,
      )
    const refused = { code: 'UNAUTHORIZED' }
    // Signed by anybody.
    const forged = await claim()
    await expect(peer.call(host!.peerId, 'job.claim', forged)).rejects.toMatchObject(refused)
    // Signed by the job's key, for others.
    const real = receiptKey(seedOf(ownerKey))
    for (const change of [{ client: a.peerId }, { host: a.peerId }, { nonce: '0'.repeat(32) }]) {
      await challenge()
      const replayed = await claim(change, real)
      await expect(peer.call(host!.peerId, 'job.claim', replayed)).rejects.toMatchObject(refused)
    }
    // A number is good for one claim.
    const other = createIdentity()
    const change = { owner: other.peerId, job: 'another' }
    const { nonce } = await peer.call(host!.peerId, 'job.challenge', { owner: other.peerId })
    const good = await claim({ ...change, nonce }, receiptKey(other.seed))
    await peer.call(host!.peerId, 'job.claim', good)
    await expect(peer.call(host!.peerId, 'job.claim', good)).rejects.toMatchObject(refused)
    await expect(first.wait()).resolves.toMatchObject({ counts: { completed: 8 } })
  })

  it('is not ended by a host that only says so', async () => {
    const { hosts } = await tested.lend(1)
    const seed = randomBytes(32)
    const listen = ['/ip4/127.0.0.1/tcp/0']
    const liar = await createNetwork({ privateKey: seed, listen, gossip: false })
    tested.closers.push({ [Symbol.asyncDispose]: () => liar.close() })
    const bootstrap = [...addressesOf(hosts), ...liar.addresses]
    const a = await machine('a', hosts, { network: { bootstrap, gossip: false } })
    const first = await a.submit({ ...job('--for', '300ms'), tasks: '1-8' })
    const owner = ownerOf(await first.ownerKey())
    await untilHolds(() => hosts[0]!.attempts().length > 0 && liar.isConnected(a.peerId))
    const said = {
      v: 1,
      ...{ job: first.id, owner, epoch: 5, host: liar.peerId, client: liar.peerId },
      nonce: '0'.repeat(32),
    } as const
    await liar.call(a.peerId, 'job.taken', signJobClaim(said, receiptKey(seed)))
    expect(await first.wait()).toMatchObject({ counts: { completed: 8 } })
  })

  it('can be taken although a peer says that it was taken often, and by others', async () => {
    const { hosts } = await tested.lend(1)
    const host = hosts[0]!
    // What begins waits until all have taken the job: it is not over before, however long they take.
    const hold = (event: Event) => {
      const { id, phase } = (event as CustomEvent<HostAttempt>).detail
      if (phase === 'running') void host.pause(id)
    }
    host.addEventListener('attempt', hold)
    const a = await machine('a', hosts)
    const first = await a.submit({ ...job('--for', '1s'), tasks: '1-8' })
    const ownerKey = await first.ownerKey()
    const held = () => host.attempts().filter(({ phase }) => phase === 'paused')
    await untilHolds(() => held().length === 4)
    const seed = randomBytes(32)
    const listen = ['/ip4/127.0.0.1/tcp/0']
    const liar = await createNetwork({ privateKey: seed, listen, gossip: false })
    tested.closers.push({ [Symbol.asyncDispose]: () => liar.close() })
    const said: JobClaim = {
      v: 1,
      ...{ job: first.id, owner: ownerOf(ownerKey), epoch: 999 },
      ...{ host: liar.peerId, client: liar.peerId, nonce: '0'.repeat(32) },
    }
    // Without the job's key; then with what its key has signed for another host.
    let claim = signJobClaim(said, receiptKey(seed))
    liar.handle('job.challenge', async () => ({ nonce: said.nonce, claim }))
    const bootstrap = [...liar.addresses, ...addressesOf(hosts)]
    const network = { bootstrap, gossip: false }
    const b = await machine('b', hosts, { network })
    await untilHolds(() => liar.isConnected(b.peerId))
    const second = await b.attach(ownerKey)
    claim = signJobClaim({ ...said, host: b.peerId }, receiptKey(seedOf(ownerKey)))
    const c = await machine('c', hosts, { network })
    await untilHolds(() => liar.isConnected(c.peerId))
    const third = await c.attach(ownerKey)
    await expect(second.wait()).rejects.toMatchObject({ code: 'JOB_TAKEN' })
    // And who has nothing to show refuses for itself alone.
    liar.handle('job.challenge', async () => ({ nonce: said.nonce }))
    liar.handle('job.claim', async () => {
      throw new ManyhandsError('JOB_TAKEN', 'it is mine', { details: { claim } })
    })
    const d = await machine('d', hosts, { network })
    await untilHolds(() => liar.isConnected(d.peerId))
    const fourth = await d.attach(ownerKey)
    await expect(third.wait()).rejects.toMatchObject({ code: 'JOB_TAKEN' })
    host.removeEventListener('attempt', hold)
    for (const { id } of held()) await host.resume(id)
    expect(await fourth.wait()).toMatchObject({ counts: { completed: 8 } })
  })

  it('is claimed until the host has answered, and nothing there is unwanted before', async () => {
    const { hosts } = await tested.lend(1)
    const a = await machine('a', hosts)
    const first = await a.submit({ ...job('--for', '20s'), tasks: '1-2' })
    const ownerKey = await first.ownerKey()
    await untilHolds(() => hosts[0]!.attempts().length > 0)
    const listen = ['/ip4/127.0.0.1/tcp/0']
    const silent = await createNetwork({ listen, bootstrap: addressesOf(hosts), gossip: false })
    tested.closers.push({ [Symbol.asyncDispose]: () => silent.close() })
    await untilHolds(() => silent.isConnected(hosts[0]!.peerId))
    const { offer } = await silent.call(hosts[0]!.peerId, 'offer.get', {})
    let answers = false
    let claims = 0
    silent.handle('job.challenge', async () => ({ nonce: '0'.repeat(32) }))
    silent.handle('job.claim', async () => {
      claims += 1
      if (!answers) throw new ManyhandsError('TIMEOUT', 'the answer was lost')
      return { attempts: [] }
    })
    const bootstrap = [...silent.addresses, ...addressesOf(hosts)]
    const b = await machine('b', hosts, { network: { bootstrap, gossip: false } })
    await untilHolds(() => silent.isConnected(b.peerId))
    const second = await b.attach(ownerKey)
    const ids = [`${'0'.repeat(24)}.1`]
    const renew = async () => (await silent.call(b.peerId, 'lease.renew', { ids, offer })).unwanted
    expect(await renew()).toEqual([])
    await untilHolds(() => claims >= 2)
    expect(await renew()).toEqual([])
    answers = true
    while ((await renew()).length === 0) await new Promise((resolve) => setTimeout(resolve, 20))
    expect(claims).toBeGreaterThanOrEqual(3)
    await second.cancel()
  })

  it('is still another one\u2019s at a host that was started again', async () => {
    const options = {
      state: join(tested.dir, 'host'),
      network: { listen: ['/ip4/127.0.0.1/tcp/0'], gossip: false },
    }
    const lent = await tested.lend(1, options)
    const a = await machine('a', lent.hosts)
    const first = await a.submit({
      ...job('--exit', '0'),
      tasks: '1-4',
      hosts: { where: () => false },
    })
    const ownerKey = await first.ownerKey()
    await a.close()
    const b = await machine('b', lent.hosts)
    await b.attach(ownerKey, { hosts: { where: () => true } })
    await b.close()
    await lent.hosts[0]![Symbol.asyncDispose]()
    const again = await tested.lend(1, options)
    const old = await (await machine('a', again.hosts)).job(first.id, {
      hosts: { where: () => true },
    })
    await expect(old.wait()).rejects.toMatchObject({ code: 'JOB_TAKEN' })
  })
})

describe('a job that two machines take, each cut off from the other\u2019s hosts', () => {
  it('ends at one of them when they meet, and the other one is told', async () => {
    const states = [{ state: join(tested.dir, 'h1') }, { state: join(tested.dir, 'h2') }]
    const one = await tested.lend(1, states[0])
    const two = await tested.lend(1, states[1])
    const hosts = [...one.hosts, ...two.hosts]
    const a = await machine('a', hosts)
    const first = await a.submit({ ...job('--for', '400ms'), tasks: '1-40' })
    const ownerKey = await first.ownerKey()
    await untilHolds(() => one.ran.size > 0 && two.ran.size > 0)
    await a.close()
    const names = ['b', 'c']
    for (const [n, host] of hosts.entries()) {
      const apart = await machine(names[n]!, [host])
      await apart.attach(leadingTo(host, ownerKey))
      await untilHolds(() => host.attempts().some(({ client }) => client === apart.peerId))
      await apart.close()
    }
    const met = await Promise.all(names.map((name) => machine(name, hosts)))
    const jobs = await Promise.all(met.map((client) => client.job(first.id)))
    const ends = await Promise.allSettled(jobs.map((it) => it.wait()))
    const [lower, higher] = met[0]!.peerId < met[1]!.peerId ? [0, 1] : [1, 0]
    expect(ends[lower]).toMatchObject({ status: 'rejected', reason: { code: 'JOB_TAKEN' } })
    expect(ends[higher]).toMatchObject({ value: { counts: { completed: 40 } } })
    // Also at the host that had been the other one's.
    const bootstrap = hosts[lower!]!.addresses
    const peer = await createNetwork({ bootstrap, gossip: false })
    tested.closers.push({ [Symbol.asyncDispose]: () => peer.close() })
    const { peerId } = hosts[lower!]!
    await untilHolds(() => peer.isConnected(peerId))
    expect(await peer.call(peerId, 'job.challenge', { owner: ownerOf(ownerKey) })).toMatchObject({
      claim: { client: met[higher!]!.peerId },
    })
  })
})

describe('claims to jobs that a host has never heard of', () => {
  it('push out nobody else\u2019s, and leave nothing else', async () => {
    const { jobsClaimed, jobsClaimedPerClient } = LIMITS
    Object.assign(LIMITS, { jobsClaimed: 8, jobsClaimedPerClient: 4 })
    tested.closers.push({
      [Symbol.asyncDispose]: async () => {
        Object.assign(LIMITS, { jobsClaimed, jobsClaimedPerClient })
      },
    })
    const state = join(tested.dir, 'host')
    const { hosts } = await tested.lend(1, { state })
    const [host] = hosts
    const a = await machine('a', hosts)
    const first = await a.submit({ ...job('--for', '200ms'), tasks: '1-4' })
    const ownerKey = await first.ownerKey()
    await untilHolds(() => host!.attempts().length > 0)
    await a.close()
    const second = await (await machine('b', hosts)).attach(ownerKey)
    await second.wait()
    const peer = await createNetwork({ bootstrap: host!.addresses, gossip: false })
    tested.closers.push({ [Symbol.asyncDispose]: () => peer.close() })
    await untilHolds(() => peer.isConnected(host!.peerId))
    for (let n = 0; n < 12; n += 1) {
      const { seed, peerId: owner } = createIdentity()
      const { nonce } = await peer.call(host!.peerId, 'job.challenge', { owner })
      const claim = {
        ...{ job: `job-${n}`, owner, epoch: 1, host: host!.peerId, client: peer.peerId, nonce },
      }
      await peer.call(host!.peerId, 'job.claim', signJobClaim({ v: 1, ...claim }, receiptKey(seed)))
    }
    // What came of the real one is still known.
    const owner = ownerOf(ownerKey)
    expect(await peer.call(host!.peerId, 'job.challenge', { owner })).toMatchObject({
      claim: { job: first.id, epoch: 1 },
    })
    await host![Symbol.asyncDispose]()
    const journal = new DatabaseSync(join(state, 'host.db'))
    const rows = (table: string) =>
      journal.prepare(`SELECT count(*) AS n FROM ${table}`).get()!['n']
    expect(rows('job_claims')).toBe(5)
    expect(rows('job_owners')).toBeLessThanOrEqual(2)
    journal.close()
  })
})

describe('a job of which somebody has the key', () => {
  it('leaves nothing at its hosts when it is over', async () => {
    const { hosts } = await tested.lend(1)
    const a = await machine('a', hosts)
    const first = await a.submit({ ...job('--write', 'x=1'), tasks: '1-12' })
    await first.ownerKey()
    await untilHolds(() => first.counts.completed >= 6)
    // What is accepted is kept while it goes on.
    expect(hosts[0]!.attempts().length).toBeGreaterThanOrEqual(0)
    await first.wait()
    await untilHolds(() => hosts[0]!.attempts().length === 0)
  })
})

describe('attempts that another machine has sent', () => {
  const spec = {
    ...job(),
    tasks: ['a', 'x'],
    task: (key: string) =>
      key === 'a'
        ? { key, command: ['run', '--write', 'f=1'] }
        : {
            ...{ key, command: ['run', '--for', '500ms', '--write', 'g=2'] },
            inputs: { '/in/a': { task: 'a', path: '/out' } },
          },
  }

  it('count with what they were given of other tasks', async () => {
    const lent = await tested.lend(1)
    const a = await machine('a', lent.hosts)
    const first = await a.submit(spec)
    const ownerKey = await first.ownerKey()
    await untilHolds(() => lent.ran.has('x'))
    await a.close()
    const b = await machine('b', lent.hosts)
    const second = await b.attach(ownerKey, { task: spec.task })
    expect(await second.wait()).toMatchObject({ counts: { completed: 2 } })
    expect(onceEach(lent)).toBe(true)
  })

  it('are made again, at no cost to their host, when it cannot say what they were given', async () => {
    // As with so many inputs that the answer has no room for them.
    const { claimedInputBytes } = LIMITS
    Object.assign(LIMITS, { claimedInputBytes: 0 })
    tested.closers.push({
      [Symbol.asyncDispose]: async () => {
        Object.assign(LIMITS, { claimedInputBytes })
      },
    })
    const lent = await tested.lend(1)
    const a = await machine('a', lent.hosts)
    const first = await a.submit(spec)
    const ownerKey = await first.ownerKey()
    await untilHolds(() => lent.ran.has('x'))
    await a.close()
    const b = await machine('b', lent.hosts)
    const second = await b.attach(ownerKey, { task: spec.task })
    expect(await second.wait()).toMatchObject({ counts: { completed: 2 } })
    expect(lent.ran.get('x')!.size).toBe(2)
  })

  it('count in a job of which only the newest attempts count', async () => {
    const lent = await tested.lend(1)
    const a = await machine('a', lent.hosts)
    const first = await a.submit({ ...job('--for', '500ms'), tasks: '1-4', accept: 'latest' })
    const ownerKey = await first.ownerKey()
    await untilHolds(() => lent.ran.size === 4)
    await a.close()
    const second = await (await machine('b', lent.hosts)).attach(ownerKey)
    expect(await second.wait()).toMatchObject({ counts: { completed: 4 } })
    expect(onceEach(lent)).toBe(true)
  })
})
