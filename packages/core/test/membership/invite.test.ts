import {
  createPrivateNetwork,
  joinPrivateNetwork,
  ManyhandsError,
  type Membership,
  readInvite,
} from '@manyhands/core'
import fc from 'fast-check'
import { base58btc } from 'multiformats/bases/base58'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { formatInvite, parseInvite } from '../../src/membership/invite.ts'
import { addressOf, Networks } from '../network/networks.ts'

let owner: Membership

beforeEach(async () => {
  owner = await createPrivateNetwork({ name: 'lab', label: 'owner' })
})

const until = (holds: () => boolean) => vi.waitUntil(holds, { timeout: 20_000 })

const codeOf = (thrown: unknown) => (thrown as ManyhandsError).code

describe('an invite', () => {
  it('says what it is for', async () => {
    const address = '/ip4/1.2.3.4/tcp/4001'
    const invite = await owner.invite({ role: 'host', expires: '7d', addresses: [address] })
    expect(invite).toMatch(/^mh1[1-9A-HJ-NP-Za-km-z]+$/)
    const { expires, ...summary } = readInvite(invite)
    expect(summary).toEqual({
      network: owner.network,
      name: 'lab',
      role: 'host',
      uses: 1,
      addresses: [address],
    })
    expect(expires - Date.now()).toBeGreaterThan(6.9 * 86_400_000)
  })

  it('is refused when any of its letters is another one', async () => {
    const invite = await owner.invite()
    const letters = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
    for (let at = 0; at < invite.length; at++) {
      const other = letters[(letters.indexOf(invite[at]!) + 1) % letters.length]
      const altered = invite.slice(0, at) + other + invite.slice(at + 1)
      expect(() => readInvite(altered), `at ${at}`).toThrow(ManyhandsError)
    }
    expect(() => readInvite(invite.slice(0, -1))).toThrow('checksum')
    expect(readInvite(` ${invite}\n`).name).toBe('lab')
  })

  it('is refused when somebody has altered it and its checksum', async () => {
    const invite = parseInvite(await owner.invite({ role: 'client' }))
    const { certificate } = invite
    const altered = [
      { certificate: { ...certificate, role: 'both' as const } },
      { certificate: { ...certificate, expires: certificate.expires + 1 } },
      { certificate: { ...certificate, uses: 2 } },
      { certificate: { ...certificate, inviter: owner.member } },
      { certificate: { ...certificate, network: owner.member, inviter: owner.member } },
      { seed: new Uint8Array(32) },
    ]
    for (const change of altered) {
      const text = formatInvite({ ...invite, ...change })
      expect(() => parseInvite(text), JSON.stringify(Object.keys(change))).toThrow(ManyhandsError)
    }
  })

  it('is never anything but read or refused as such, whatever the text', () => {
    const texts = fc.oneof(
      fc.string(),
      fc.string().map((text) => `mh1${text}`),
      fc.uint8Array({ maxLength: 400 }).map((bytes) => `mh1${base58btc.baseEncode(bytes)}`),
    )
    fc.assert(
      fc.property(texts, (text) => {
        try {
          readInvite(text)
          return false
        } catch (error) {
          return codeOf(error) === 'INVITE_INVALID'
        }
      }),
    )
  })

  it('that has expired is refused by the clock of who is asked, with the time', async () => {
    await using networks = new Networks()
    const host = await networks.host({ membership: owner })
    const invite = await owner.invite({ expires: 1, addresses: host.addresses })
    await until(() => Date.now() > readInvite(invite).expires)
    const late = networks.add({ membership: await joinPrivateNetwork({ invite }) })
    await expect(late).rejects.toMatchObject({
      code: 'INVITE_INVALID',
      message: expect.stringMatching(/has expired: it was good until 20.*Z/),
      details: { reason: 'expired' },
    })
    expect(owner.members()).toHaveLength(1)
  })

  it('may be good for several, and then no more', async () => {
    await using networks = new Networks()
    const host = await networks.host({ membership: owner })
    const invite = await owner.invite({ uses: 2, addresses: host.addresses })
    for (let n = 0; n < 2; n++) {
      await networks.add({ membership: await joinPrivateNetwork({ invite }) })
    }
    await expect(
      networks.add({ membership: await joinPrivateNetwork({ invite }) }),
    ).rejects.toMatchObject({ code: 'INVITE_INVALID', details: { reason: 'replayed' } })
  })

  it('is not made with settings that mean nothing', async () => {
    const wrong = [
      { role: 'owner' as never },
      { uses: 0 },
      { expires: 'soon' },
      { addresses: ['here'] },
    ]
    for (const options of wrong) await expect(owner.invite(options)).rejects.toThrow(ManyhandsError)
  })
})

describe('inviting', () => {
  it('takes the owner key or a delegation; without both it is said what still works', async () => {
    await using networks = new Networks()
    const host = await networks.host({ membership: owner })
    const addresses = [addressOf(host)]
    const invited = async () => joinPrivateNetwork({ invite: await owner.invite({ addresses }) })
    const delegate = await invited()
    const other = await invited()
    await networks.add({ membership: delegate })
    await networks.add({ membership: other })
    await expect(other.invite()).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
      hint: expect.stringContaining('nobody else may invite'),
    })
    await owner.delegate(delegate.member, { role: 'client' })
    await until(() => delegate.members().some(({ mayInviteUntil = 0 }) => mayInviteUntil > 0))
    await until(() => other.members().some(({ mayInviteUntil = 0 }) => mayInviteUntil > 0))
    await expect(other.revoke(delegate.member)).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
      message: expect.stringContaining('owner key of network lab is not here'),
      hint: expect.stringMatching(
        `members stay members.*${delegate.member} .until 20.*new network`,
      ),
    })
    await expect(delegate.invite({ role: 'both' })).rejects.toMatchObject({ code: 'UNAUTHORIZED' })

    const used = await delegate.invite({ role: 'client', addresses })
    const unused = await delegate.invite({ role: 'client', addresses })
    const third = await joinPrivateNetwork({ invite: used })
    await networks.add({ membership: third })
    expect(owner.members().find(({ member }) => member === third.member)).toMatchObject({
      invitedBy: delegate.member,
      role: 'client',
    })
    // Nor may it revoke whom it has not invited.
    await expect(delegate.revoke(other.member)).rejects.toMatchObject({ code: 'UNAUTHORIZED' })

    await owner.revoke(delegate.member)
    await expect(
      networks.add({ membership: await joinPrivateNetwork({ invite: unused }) }),
    ).rejects.toMatchObject({ code: 'INVITE_INVALID', message: expect.stringContaining('revoked') })
    expect(third.state).toBe('member')
    await until(() => delegate.state === 'revoked')
    await expect(delegate.invite({ role: 'client' })).rejects.toMatchObject({
      code: 'NOT_A_MEMBER',
    })
  })

  it('by a delegate gives it the right to revoke', async () => {
    await using networks = new Networks()
    const host = await networks.host({ membership: owner })
    const addresses = [addressOf(host)]
    const delegate = await joinPrivateNetwork({ invite: await owner.invite({ addresses }) })
    await networks.add({ membership: delegate })
    await owner.delegate(delegate.member)
    await until(() => delegate.members().some(({ mayInviteUntil = 0 }) => mayInviteUntil > 0))
    const third = await joinPrivateNetwork({ invite: await delegate.invite({ addresses }) })
    await networks.add({ membership: third })
    await until(() => delegate.members().length === 3)
    await delegate.revoke(third.member)
    await until(() => third.state === 'revoked')
    await until(() => owner.members().at(-1)?.state === 'revoked')
    expect(third.reason).toContain(`by member ${delegate.member}`)
  })
})
