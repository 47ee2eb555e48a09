import { ManyhandsError, type NetworkMember } from '@manyhands/core'

/** Shorter ends are more likely a slip than a choice. */
const MIN_SUFFIX = 4

/**
 * The member that is meant: by its key or one of its peers, whole or the end of it as tables show it, or by
 * its label when only one has it.
 *
 * @throws NOT_FOUND, USAGE when several fit
 */
export function withMember(members: NetworkMember[], given: string): string {
  const end = given.replace(/^…/, '')
  const fits = members.filter(({ member, peers, label }) => {
    if (label === given) return true
    return [member, ...peers].some(
      (id) => id === given || (end.length >= MIN_SUFFIX && id.endsWith(end)),
    )
  })
  if (fits.length === 1) return fits[0]!.member
  if (fits.length > 1) {
    throw new ManyhandsError('USAGE', `${given} may be ${fits.length} members`, {
      hint: 'Give a whole key: `manyhands network members --json` shows them.',
    })
  }
  throw new ManyhandsError('NOT_FOUND', `${given} is no member`, {
    hint: '`manyhands network members` lists who is.',
  })
}
