import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createPrivateNetwork } from '@manyhands/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { commandRoom, type Line, linesOf } from './command.ts'

let room: Awaited<ReturnType<typeof commandRoom>>

beforeEach(async () => {
  room = await commandRoom()
})
afterEach(() => room[Symbol.asyncDispose]())

/** Another computer: with a home of its own. */
const at = (computer: string) => ({ MANYHANDS_HOME: room.path(computer) })
const on = (computer: string, ...args: string[]) => room.start(args, at(computer)).ended
const lastLine = (text: string) => text.trimEnd().split('\n').at(-1)!
const HOST = ['host', '--runtime', 'scripted', '--listen', '/ip4/127.0.0.1/tcp/0', '--jsonl']
const RUN = ['run', '--runtime', 'scripted', '--image', 'any', '--tasks', '1-2', '--jsonl']

async function lending(computer: string, ...more: string[]) {
  const host = room.start([...HOST, ...more], at(computer))
  return { host, ready: await host.line((line) => line['event'] === 'ready') }
}

async function invited(...flags: string[]): Promise<string> {
  const { code, stdout, stderr } = await on('owner', 'network', 'invite', ...flags)
  expect(stderr).not.toContain('error')
  expect(code).toBe(0)
  return lastLine(stdout)
}

it('create, invite, join, and a job runs; outsiders and revoked members get nothing', async () => {
  const created = await on('owner', 'network', 'create', 'lab')
  expect(created.code).toBe(0)
  expect(created.stderr).toContain('owner.key')
  const key = await stat(room.path('owner', 'networks', 'lab', 'owner.key'))
  expect(key.mode & 0o777).toBe(0o600)
  expect((await stat(room.path('owner', 'networks', 'lab'))).mode & 0o777).toBe(0o700)

  const { ready } = await lending('owner')
  expect(ready['network']).toBe('lab')
  const joined = await on('guest', 'network', 'join', await invited('--role', 'client'), '--json')
  expect(joined.code).toBe(0)
  expect(JSON.parse(joined.stdout)).toMatchObject({ name: 'lab', role: 'client' })

  // Nothing more is said: the network, and where its members are, is known.
  const hosts = JSON.parse((await on('guest', 'hosts', '--json')).stdout)
  expect(hosts).toMatchObject([{ peerId: ready['peerId'] }])
  const run = await on('guest', ...RUN, '--', 'run', '--stdout', 'done')
  expect(run.stderr).toBe('')
  expect(linesOf(run).at(-1)).toMatchObject({ event: 'job', phase: 'completed' })

  const outsider = await on('stranger', 'hosts', '--bootstrap', ready['addresses'][0], '--json')
  expect(outsider.code).toBe(5)
  expect(outsider.stdout).not.toContain('cpus')

  const members = JSON.parse((await on('owner', 'network', 'members', '--json')).stdout) as Line[]
  expect(members).toMatchObject([{ role: 'both' }, { role: 'client', state: 'member' }])
  expect(members[1]!['peers'].length).toBeGreaterThan(0)
  const [peer] = members[1]!['peers']
  const revoked = await on('owner', 'network', 'revoke', peer, '--reason', 'left', '--json')
  expect(JSON.parse(revoked.stdout)).toMatchObject({ revoked: { state: 'revoked' } })
  const refused = await on('guest', ...RUN, '--wait', '2s', '--', 'run')
  expect(refused.code).not.toBe(0)
})

it('says why an invite is not taken, with an exit code', async () => {
  await on('owner', 'network', 'create', 'lab')
  await lending('owner')
  const used = await invited('--role', 'host')
  expect((await on('first', 'network', 'join', used)).code).toBe(0)
  // Once more on the same computer: it is a member already.
  expect((await on('first', 'network', 'join', used)).code).toBe(0)

  const replayed = await on('second', 'network', 'join', used)
  expect(replayed).toMatchObject({ code: 5, stderr: expect.stringContaining('used already') })
  const late = await on('second', 'network', 'join', await invited('--expires', '1ms'))
  expect(late).toMatchObject({ code: 5, stderr: expect.stringContaining('has expired') })
  const altered = await on('second', 'network', 'join', `${used.slice(0, -3)}abc`)
  expect(altered).toMatchObject({ code: 5, stderr: expect.stringContaining('altered') })
  expect(altered.stderr).toContain('hint: ')
  // A failed join leaves nothing in the way of the next one.
  expect((await on('second', 'network', 'join', await invited())).code).toBe(0)
})

it('a role is what one was invited for', async () => {
  await on('owner', 'network', 'create', 'lab')
  await lending('owner')
  await on('borrower', 'network', 'join', await invited('--role', 'client'))
  const offering = await on('borrower', ...HOST)
  expect(offering.code).toBe(5)
  expect(linesOf(offering).at(-1)!['error']).toMatchObject({ code: 'ROLE_DENIED' })
  await on('lender', 'network', 'join', await invited('--role', 'host'))
  const submitting = await on('lender', ...RUN, '--', 'run')
  expect(submitting.code).toBe(5)
  expect(linesOf(submitting).at(-1)!['error']).toMatchObject({ code: 'ROLE_DENIED' })
})

describe('with several networks', () => {
  beforeEach(async () => {
    for (const name of ['lab', 'home']) {
      await createPrivateNetwork({ name, directory: join(room.path('owner'), 'networks', name) })
    }
  })

  it('one has to be chosen', async () => {
    const unclear = await on('owner', 'hosts', '--json')
    expect(unclear.code).toBe(7)
    expect(JSON.parse(unclear.stdout).error).toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('home, lab'),
      hint: expect.stringContaining('--network'),
    })
    const unknown = await on('owner', 'hosts', '--network', 'work')
    expect(unknown).toMatchObject({ code: 7, stderr: expect.stringContaining('has not joined it') })
    const networks = JSON.parse((await on('owner', 'network', 'list', '--json')).stdout)
    expect(networks).toMatchObject([
      { name: 'home', role: 'both', state: 'member', owner: true },
      { name: 'lab' },
    ])
    const { ready } = await lending('owner', '--network', 'lab')
    expect(ready['network']).toBe('lab')
    const seen = await on('owner', 'hosts', '--network', 'lab', '--json')
    expect(JSON.parse(seen.stdout)).toMatchObject([{ peerId: ready['peerId'] }])
    const others = await on('owner', 'hosts', '--network', 'public', '--json')
    expect(others.code).toBe(4)
  })

  it('none is created twice, nor under a name that is taken', async () => {
    expect((await on('owner', 'network', 'create', 'lab')).code).toBe(7)
    expect((await on('owner', 'network', 'create', 'public')).code).toBe(2)
    expect((await on('owner', 'network', 'create', '../lab')).code).toBe(2)
  })
})

it('without a network it is said how to get one', async () => {
  const none = await on('nobody', 'network', 'members')
  expect(none).toMatchObject({ code: 7, stderr: expect.stringContaining('network create') })
})

it('an invite without an address says that it is for the local network', async () => {
  await on('owner', 'network', 'create', 'lab')
  const { stderr, stdout } = await on('owner', 'network', 'invite')
  expect(stderr).toContain('--mdns')
  expect(lastLine(stdout)).toMatch(/^mh1/)
})
