import { formatDuration } from '../duration.ts'
import { ManyhandsError } from '../errors.ts'
import type { Standing } from './roster-standing.ts'

/** Why somebody is not let in, in words that are for it as well. */
export function standingFault(standing: Standing, network: string): ManyhandsError | undefined {
  switch (standing.state) {
    case 'member':
      return undefined
    case 'revoked':
      return new ManyhandsError('NOT_A_MEMBER', revokedText(standing, network), {
        details: { reason: 'revoked' },
      })
    case 'displaced':
      return new ManyhandsError('INVITE_INVALID', 'the invite was used already by another member', {
        details: { reason: 'replayed' },
      })
    case 'void':
      return new ManyhandsError(
        'NOT_A_MEMBER',
        'who invited or admitted this member was revoked, and nobody had heard of it before',
        { details: { reason: 'void' } },
      )
    case 'unknown':
      return new ManyhandsError('NOT_A_MEMBER', 'it is not known as a member', {
        details: { reason: 'unknown' },
      })
  }
}

export function revokedText(
  { at, by, reason }: { at: number; by: string; reason: string },
  network: string,
): string {
  const who = by === network ? 'by the owner' : `by member ${by}`
  const why = reason === '' ? '' : `: ${reason}`
  return `the membership was revoked on ${day(at)} ${who}${why}`
}

export function expired(expires: number, now: number): ManyhandsError {
  const since = formatDuration(now - expires)
  return new ManyhandsError(
    'INVITE_INVALID',
    `the invite has expired: it was good until ${day(expires)}, ${since} ago by the clock of the member that was asked`,
    { details: { reason: 'expired' } },
  )
}

const day = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')
