import { createPrivateNetwork, joinPrivateNetwork, type ManyhandsError } from '@manyhands/core'
import { expect, it } from 'vitest'
import { eventually } from '../network/eventually.ts'
import { addressOf, Networks } from '../network/networks.ts'

it('an invite makes a member, that hears of the others and they of it', async () => {
  await using networks = new Networks()
  const owner = await createPrivateNetwork({ name: 'lab', label: 'owner' })
  const first = await networks.host({ membership: owner })
  const invite = await owner.invite({ addresses: first.addresses })
  const membership = await joinPrivateNetwork({ invite, label: 'second' })
  expect(membership.state).toBe('joining')
  const second = await networks.host({ membership })
  expect(membership.state).toBe('member')
  expect(second.peers()).toEqual([first.peerId])
  expect(owner.members().map(({ label }) => label)).toEqual(['owner', 'second'])
  await eventually('the newcomer knows all', () => membership.members().length === 2)
  await eventually('the first has let it in', () => first.roleOf?.(second.peerId) === 'both')

  const other = await owner.invite({ addresses: second.addresses })
  const third = await joinPrivateNetwork({ invite: other, label: 'third' })
  await networks.add({ membership: third })
  await eventually('the owner hears of who was admitted elsewhere', () => {
    return owner.members().some(({ label }) => label === 'third')
  })
})

it('an invite is good for one computer', async () => {
  await using networks = new Networks()
  const owner = await createPrivateNetwork({ name: 'lab' })
  const first = await networks.host({ membership: owner })
  const invite = await owner.invite({ addresses: first.addresses })
  await networks.add({ membership: await joinPrivateNetwork({ invite }) })
  const thief = await networks
    .add({ membership: await joinPrivateNetwork({ invite }) })
    .catch((error: ManyhandsError) => error as ManyhandsError)
  expect(thief).toMatchObject({ code: 'INVITE_INVALID' })
  expect((thief as ManyhandsError).message).toContain('used already by another member')
})

it('somebody without the secret cannot connect', async () => {
  await using networks = new Networks()
  const owner = await createPrivateNetwork({ name: 'lab' })
  const first = await networks.host({ membership: owner })
  const stranger = await networks.add()
  await expect(stranger.connect(addressOf(first))).rejects.toMatchObject({ code: 'CONNECT_FAILED' })
})
