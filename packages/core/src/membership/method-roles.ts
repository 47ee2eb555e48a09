import { ManyhandsError } from '../errors.ts'
import { PROTOCOLS } from '../wire/protocols.ts'
import type { RpcMethod } from '../wire/rpc-methods.ts'
import { covers, type MemberRole } from './member-role.ts'

/** What one has to be to ask for something. */
type Asker = 'client' | 'host' | 'anyone'

/** Who may ask what; who answers is the other side of the same row. */
const ASKERS: Record<RpcMethod, Asker> = {
  hello: 'client',
  'offer.get': 'client',
  'offer.list': 'anyone',
  'offer.page': 'anyone',
  'attempt.offer': 'client',
  'attempt.cancel': 'client',
  'attempt.acknowledge': 'client',
  'attempt.share': 'client',
  'attempt.checkpoint': 'client',
  'attempt.checkpointed': 'client',
  'attempt.inventory': 'client',
  'job.challenge': 'client',
  'job.claim': 'client',
  'job.taken': 'host',
  'attempt.image': 'host',
  'attempt.secrets': 'host',
  'lease.renew': 'host',
  'roster.compare': 'anyone',
  'roster.list': 'anyone',
  'roster.get': 'anyone',
  'roster.put': 'anyone',
  'roster.peers': 'anyone',
  'peer.introduce': 'anyone',
  'peer.callback': 'anyone',
  'peer.probe': 'anyone',
}

/** The same for streams; artifacts go both ways, and between hosts. */
const OPENERS: Record<string, Asker> = { [PROTOCOLS.events]: 'client' }

/** Why a member of a role may not ask for something; undefined when it may. */
export function askFault(role: MemberRole, method: RpcMethod): ManyhandsError | undefined {
  return fault(role, ASKERS[method], method)
}

/** Why it is not for a member of a role to answer something. */
export function answerFault(role: MemberRole, method: RpcMethod): ManyhandsError | undefined {
  const asker = ASKERS[method]
  const answerer = asker === 'client' ? 'host' : asker === 'host' ? 'client' : 'anyone'
  if (answerer === 'anyone' || covers(role, answerer)) return undefined
  return new ManyhandsError(
    'ROLE_DENIED',
    `a member that is ${role} only does not answer ${method}`,
  )
}

export function openFault(role: MemberRole, protocol: string): ManyhandsError | undefined {
  return fault(role, OPENERS[protocol] ?? 'anyone', protocol)
}

function fault(role: MemberRole, asker: Asker, what: string): ManyhandsError | undefined {
  if (asker === 'anyone' || covers(role, asker)) return undefined
  return new ManyhandsError(
    'ROLE_DENIED',
    `a member that is ${role} only may not ask for ${what}: that takes the role ${asker}`,
  )
}
