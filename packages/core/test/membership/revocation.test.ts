import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createPrivateNetwork,
  joinPrivateNetwork,
  type Membership,
  type Network,
  openMembership,
} from '@manyhands/core'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { addressOf, Networks } from '../network/networks.ts'

let dir: string
let owner: Membership

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'manyhands-membership-'))
  owner = await createPrivateNetwork({ name: 'lab', directory: join(dir, 'owner') })
})
afterEach(() => rm(dir, { recursive: true, force: true }))

const until = (holds: () => boolean) => vi.waitUntil(holds, { timeout: 20_000 })

async function member(name: string, at: Network, more: { at?: Network[] } = {}) {
  const invite = await owner.invite({ addresses: at.addresses })
  const membership = await joinPrivateNetwork({ invite, directory: join(dir, name), label: name })
  return { membership, bootstrap: [at, ...(more.at ?? [])].map(addressOf) }
}

it('reaches members in a row, of whom each knows the next alone, and one that was away', async () => {
  await using networks = new Networks()
  const first = await networks.host({ membership: owner })
  const chain = [first]
  const memberships: Membership[] = []
  for (const name of ['second', 'third', 'fourth']) {
    const next = await member(name, chain.at(-1)!)
    memberships.push(next.membership)
    chain.push(await networks.host(next))
  }
  const target = await member('target', chain.at(-1)!)
  const revoked = await networks.host(target)
  await until(() => memberships.every((one) => one.members().length === 5))
  const [, , fourth] = memberships
  const away = chain.pop()!
  await away.close()

  await until(() => owner.members().length === 5)
  await owner.revoke(target.membership.member, { reason: 'gone' })
  const stateIn = (one: Membership) =>
    one.members().find(({ member: key }) => key === target.membership.member)?.state
  await until(() => memberships.slice(0, 2).every((one) => stateIn(one) === 'revoked'))
  expect(stateIn(fourth!)).toBe('member')

  const back = await networks.host({
    membership: await openMembership(join(dir, 'fourth')),
    bootstrap: [addressOf(chain.at(-1)!)],
  })
  await until(() => stateIn(back.membership!) === 'revoked')
  await expect(revoked.connect(addressOf(back))).rejects.toMatchObject({
    code: 'NOT_A_MEMBER',
    message: expect.stringMatching(/revoked on 20.* by the owner: gone/),
  })
  // It was told as well, and does not try again.
  await until(() => target.membership.state === 'revoked')
  await expect(revoked.connect(addressOf(first))).rejects.toMatchObject({ code: 'NOT_A_MEMBER' })
})

it('cuts the connections of all members to it', async () => {
  await using networks = new Networks()
  const first = await networks.host({ membership: owner })
  const second = await networks.host(await member('second', first))
  const target = await member('target', first, { at: [second] })
  const revoked = await networks.add(target)
  await until(() => [first, second].every((one) => one.isConnected(revoked.peerId)))
  const told: string[] = []
  second.addEventListener('peer:expelled', (event) => {
    told.push((event as CustomEvent<{ reason: string }>).detail.reason)
  })
  await owner.revoke(revoked.peerId)
  await until(() => [first, second].every((one) => !one.isConnected(revoked.peerId)))
  expect(told).toEqual([expect.stringContaining('revoked')])
  expect(second.isConnected(first.peerId)).toBe(true)
})

it('is read by another process with the same directory, and acted on', async () => {
  await using networks = new Networks()
  const first = await networks.host({ membership: owner })
  const target = await member('target', first)
  const revoked = await networks.add(target)
  const command = await openMembership(join(dir, 'owner'))
  await command.revoke(target.membership.member)
  await until(() => !first.isConnected(revoked.peerId))
  await until(() => target.membership.state === 'revoked')
})

it('outlives every process: it holds after a restart of the owner', async () => {
  {
    await using networks = new Networks()
    const first = await networks.host({ membership: owner })
    const target = await member('target', first)
    await networks.add(target)
    await owner.revoke(target.membership.member)
  }
  await using networks = new Networks()
  const again = await openMembership(join(dir, 'owner'))
  expect(again.members().map(({ state }) => state)).toEqual(['member', 'revoked'])
  const host = await networks.host({ membership: again })
  const target = await openMembership(join(dir, 'target'))
  if (target.state === 'member') {
    const network = await networks.add({ membership: target })
    await expect(network.connect(addressOf(host))).rejects.toMatchObject({ code: 'NOT_A_MEMBER' })
  }
  await until(() => target.state === 'revoked')
})

it('does not reach whom the member had admitted before; what it admits later counts for nothing', async () => {
  await using networks = new Networks()
  const first = await networks.host({ membership: owner })
  const witness = await member('witness', first)
  const second = await networks.host(witness)
  const friend = await member('friend', second)
  await networks.add(friend)
  await until(() => owner.members().length === 3)
  // An island: what it admits from here on is not heard of.
  const island = await networks.host({ membership: witness.membership })
  await first.block(second.peerId)
  await first.block(island.peerId)
  const invite = await owner.invite({ addresses: island.addresses })
  const late = await joinPrivateNetwork({ invite, directory: join(dir, 'late') })
  await networks.add({ membership: late })
  expect(late.state).toBe('member')
  await owner.revoke(witness.membership.member)
  expect(owner.members().map(({ state }) => state)).toEqual(['member', 'revoked', 'member'])
  // Its invite is still good: the owner admits it itself.
  const again = await networks.add({ membership: late })
  await again.connect(addressOf(first))
  expect(owner.members().at(-1)).toMatchObject({ member: late.member, state: 'member' })
})

it('an invite that was used on both sides of a partition makes one member, the same for all', async () => {
  await using networks = new Networks()
  const first = await networks.host({ membership: owner })
  const other = await member('other', first)
  const second = await networks.host(other)
  await second.disconnect(first.peerId)
  await second.block(first.peerId)
  const invite = await owner.invite()
  const [one, two] = await Promise.all([
    joinPrivateNetwork({ invite, label: 'one' }),
    joinPrivateNetwork({ invite, label: 'two' }),
  ])
  const oneAt = await networks.add({ membership: one, bootstrap: [addressOf(first)] })
  const twoAt = await networks.add({ membership: two, bootstrap: [addressOf(second)] })
  expect([one.state, two.state]).toEqual(['member', 'member'])
  second.unblock(first.peerId)
  await second.connect(addressOf(first))
  await until(() => [one, two].filter(({ state }) => state === 'refused').length === 1)
  const loser = one.state === 'refused' ? one : two
  const loserAt = loser === one ? oneAt : twoAt
  expect(loser).toBe(two)
  expect(loser.reason).toContain('used already by another member')
  await until(() => loserAt.peers().length === 0)
  const view = (of: Membership) => of.members().map(({ label, state }) => [label, state])
  await until(() => JSON.stringify(view(owner)) === JSON.stringify(view(other.membership)))
})
