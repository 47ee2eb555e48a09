import { encodeDocument, ManyhandsError } from '@manyhands/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Roster } from '../../src/membership/roster.ts'
import {
  type FiledDocument,
  fileDocument,
  type RosterDocument,
  readDocument,
} from '../../src/membership/roster-document.ts'
import { signDocument } from '../../src/membership/signed-document.ts'
import {
  delegationDocument,
  delegationFor,
  keyOf,
  memberDocument,
  network,
  revocationDocument,
  seedOf,
} from './made-documents.ts'

/** Takes documents until none is wanted any more, as it does with what comes from others. */
function rosterOf(documents: FiledDocument[]): Roster {
  const roster = new Roster(network)
  for (let progress = true; progress; ) {
    progress = false
    for (const filed of documents) {
      try {
        if (!roster.wants(filed)) continue
      } catch {
        continue
      }
      roster.take(filed)
      progress = true
    }
  }
  return roster
}

const filed = (...documents: RosterDocument[]) => documents.map((one) => fileDocument(one))
const stateOf = (roster: Roster, member: number) => roster.standing(keyOf(member)).state
const read = (document: unknown) => readDocument(encodeDocument(document), network)

const founder = memberDocument({ member: 2, invite: 3 })
const second = memberDocument({ member: 4, invite: 5, witness: 2 })

describe('a document of the network', () => {
  it('is read when all of its signatures are right', () => {
    for (const document of [founder, second, revocationDocument(4)]) {
      expect(read(document).document).toEqual(document)
    }
  })

  const delegation = delegationFor(2, { roles: 'host' })
  const wrong: [string, unknown][] = [
    [
      'a certificate that its inviter did not sign',
      { ...founder, certificate: { ...founder.certificate, role: 'host' } },
    ],
    [
      'a claim of somebody without the key of the invite',
      {
        ...founder,
        claim: signDocument(
          'claim',
          { ...second.claim, ...{ invite: keyOf(3), member: keyOf(2) } },
          seedOf(9),
        ),
      },
    ],
    ['a claim to another invite', { ...founder, claim: second.claim }],
    [
      'an admission that its witness did not sign',
      { ...founder, admission: { ...founder.admission, at: 999 } },
    ],
    ['an admission of somebody else', { ...founder, admission: second.admission }],
    [
      'an admission after the invite had expired',
      memberDocument({ member: 2, invite: 3, at: 2001 }),
    ],
    ['an inviter without a delegation', memberDocument({ member: 6, invite: 7, inviter: 4 })],
    [
      'a delegation of somebody else',
      memberDocument({ member: 6, invite: 7, inviter: 4, delegation }),
    ],
    [
      'a role beyond the delegation',
      memberDocument({ member: 6, invite: 7, inviter: 2, delegation }),
    ],
    [
      'a delegation that the inviter gave itself',
      memberDocument({
        ...{ member: 6, invite: 7, inviter: 4 },
        delegation: signDocument(
          'delegation',
          { v: 1, network, member: keyOf(4), roles: 'both', expires: 5000 },
          seedOf(4),
        ),
      }),
    ],
    [
      'an invite that outlives the delegation',
      memberDocument({
        ...{ member: 6, invite: 7, inviter: 2, delegation: delegationFor(2) },
        certificate: { expires: 5001 },
      }),
    ],
    ['a revocation that who says so did not sign', revocationDocument(4, { signer: 4 })],
    ['a revocation by somebody without a delegation', revocationDocument(4, { by: 2 })],
    [
      'a delegation that the network did not sign',
      delegationDocument({ ...delegation, roles: 'both' }),
    ],
    ['a field more', { ...founder, more: 1 }],
  ]
  it.each(wrong)('is not read with %s', (_, document) => {
    expect(() => read(document)).toThrow(ManyhandsError)
  })

  it('of another network is not read', () => {
    expect(() => readDocument(encodeDocument(founder), keyOf(9))).toThrow(ManyhandsError)
  })

  it('is never anything but read or refused, whichever byte is another one', () => {
    const bytes = encodeDocument(second)
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
        const altered = bytes.slice()
        altered[at] = altered[at]! ^ by
        try {
          readDocument(altered, network)
          return false
        } catch (error) {
          return error instanceof ManyhandsError
        }
      }),
    )
  })
})

describe('the roster', () => {
  it('does not take whom a stranger has admitted, however well that is signed', () => {
    const stranger = memberDocument({ member: 6, invite: 7, witness: 9 })
    expect(() => rosterOf(filed(founder)).wants(fileDocument(stranger))).toThrow('not known here')
    expect(stateOf(rosterOf(filed(founder, stranger)), 6)).toBe('unknown')
  })

  it('lets the first use of an invite count, and of two at once the smaller name', () => {
    const late = memberDocument({ member: 6, invite: 5, witness: 2, at: 1001 })
    const roster = rosterOf(filed(founder, late, second))
    expect([4, 6].map((one) => stateOf(roster, one))).toEqual(['member', 'displaced'])
    const same = [4, 6].map((member) => memberDocument({ member, invite: 5, witness: 2 }))
    const one = rosterOf(filed(founder, ...same))
    const other = rosterOf(filed(founder, ...same.reverse()))
    expect([4, 6].map((n) => stateOf(one, n))).toEqual([4, 6].map((n) => stateOf(other, n)))
  })

  it('keeps what a revocation names of what rests on the member, and nothing else', () => {
    const kept = memberDocument({ member: 6, invite: 7, witness: 4 })
    const backdated = memberDocument({ member: 8, invite: 9, witness: 4, at: 1 })
    const revocation = revocationDocument(4, { keeps: [fileDocument(kept).id] })
    const roster = rosterOf(filed(founder, second, kept, backdated, revocation))
    expect([4, 6, 8].map((one) => stateOf(roster, one))).toEqual(['revoked', 'member', 'void'])
  })

  it('voids the invites of a delegate that was revoked, and its revocations after that', () => {
    const delegation = delegationFor(4)
    const invited = memberDocument({ member: 6, invite: 7, witness: 2, inviter: 4, delegation })
    const own = filed(founder, second, invited)
    const byDelegate = revocationDocument(6, { by: 4, delegation })
    expect(stateOf(rosterOf([...own, ...filed(byDelegate)]), 6)).toBe('revoked')
    expect(stateOf(rosterOf([...own, ...filed(revocationDocument(4))]), 6)).toBe('void')
    const keeps = own.slice(2).map(({ id }) => id)
    const all = rosterOf([...own, ...filed(byDelegate, revocationDocument(4, { keeps }))])
    expect(stateOf(all, 6)).toBe('member')
    // Whom it has not invited it cannot revoke.
    const tooFar = revocationDocument(2, { by: 4, delegation })
    expect(stateOf(rosterOf([...own, ...filed(tooFar)]), 2)).toBe('member')
  })

  it('comes to the same whatever came first', () => {
    const kept = memberDocument({ member: 6, invite: 7, witness: 4 })
    const documents = filed(
      founder,
      second,
      kept,
      memberDocument({ member: 8, invite: 7, witness: 2, at: 1001 }),
      memberDocument({ member: 10, invite: 11, witness: 6 }),
      memberDocument({ member: 12, invite: 13, witness: 4, at: 1 }),
      revocationDocument(4, { keeps: [fileDocument(kept).id] }),
      delegationDocument(delegationFor(2)),
    )
    const expected = rosterOf(documents)
    fc.assert(
      fc.property(fc.shuffledSubarray(documents, { minLength: documents.length }), (shuffled) => {
        const roster = rosterOf(shuffled)
        expect(roster.digest).toBe(expected.digest)
        expect(new Map(roster.members())).toEqual(new Map(expected.members()))
      }),
    )
  })

  it('does not grow by the uses of one invite', () => {
    const uses = Array.from({ length: 40 }, (_, n) =>
      memberDocument({ member: 100 + n, invite: 7, witness: 2, at: 1000 + n }),
    )
    const roster = rosterOf(filed(founder, ...uses.reverse()))
    expect(roster.size).toBeLessThan(12)
    expect(stateOf(roster, 100)).toBe('member')
  })
})
