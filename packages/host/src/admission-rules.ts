import { ManyhandsError } from '@manyhands/core'
import type { AdmissionRequest, RuleVerdict } from './admission-request.ts'
import { askOwner } from './ask-owner.ts'
import { LIST_RULES } from './rules/list-rules.ts'
import { QUOTA_RULES } from './rules/quota-rules.ts'
import { ROOM_RULES } from './rules/room-rules.ts'
import type { AdmissionState, Rule } from './rules/rule.ts'
import { RUNTIME_RULES } from './rules/runtime-rules.ts'
import { SCHEDULE_RULES } from './rules/schedule-rules.ts'
import { TRANSFER_RULES } from './rules/transfer-rules.ts'

/** Every rule, in the order of the answer. The owner's own function comes last. */
const RULES: Rule[] = [
  ...LIST_RULES,
  ...RUNTIME_RULES,
  ...SCHEDULE_RULES,
  ...ROOM_RULES,
  ...QUOTA_RULES,
  ...TRANSFER_RULES,
]
const STANDING = RULES.filter((rule) => rule.standing)

/** The first rule that refuses, without a word of the owner's function: synchronous and cheap. */
export function firstRefusal(
  request: AdmissionRequest,
  state: AdmissionState,
): RuleVerdict | undefined {
  return refusal(RULES, request, state)
}

/** Whether a client may use this host at all, whatever it asks for. */
export function clientRefusal(client: string, state: AdmissionState): RuleVerdict | undefined {
  const rules = LIST_RULES.filter(({ name }) => name === 'blocked' || name === 'clients')
  return refusal(rules, { client } as AdmissionRequest, state)
}

/** The first rule that what runs breaks now, the owner having changed his mind. */
export function firstBroken(
  request: AdmissionRequest,
  state: AdmissionState,
): RuleVerdict | undefined {
  return refusal(STANDING, request, state)
}

function refusal(
  rules: Rule[],
  request: AdmissionRequest,
  state: AdmissionState,
): RuleVerdict | undefined {
  for (const { name, temporary, refuse } of rules) {
    const detail = refuse(request, state)
    if (detail !== undefined) return { rule: name, allowed: false, detail, temporary }
  }
  return undefined
}

/** Every rule's verdict. */
export async function explainRequest(
  request: AdmissionRequest,
  state: AdmissionState,
): Promise<RuleVerdict[]> {
  const owner = await askOwner(request, state.policy)
  const verdicts = RULES.map((rule) => {
    const detail = rule.refuse(request, state)
    return {
      rule: rule.name,
      allowed: detail === undefined,
      detail: detail ?? rule.allow(request, state),
      temporary: rule.temporary,
    }
  })
  const detail =
    state.policy.rules.admit === undefined ? 'not asked' : 'the owner’s own rule says yes'
  return [...verdicts, owner ?? { rule: 'admit', allowed: true, detail, temporary: false }]
}

/** The error that a client gets for a refusal. */
export function refusalError(verdict: RuleVerdict): ManyhandsError {
  const details = { rule: verdict.rule }
  if (verdict.rule === 'runtime' && verdict.temporary) {
    return new ManyhandsError('RUNTIME_UNAVAILABLE', verdict.detail, { details })
  }
  if (verdict.rule === 'draining')
    return new ManyhandsError('HOST_DRAINING', verdict.detail, { details })
  return new ManyhandsError(
    verdict.temporary ? 'HOST_BUSY' : 'HOST_REFUSED',
    `${verdict.rule}: ${verdict.detail}`,
    { details },
  )
}
