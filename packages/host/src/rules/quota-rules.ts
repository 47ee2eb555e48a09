import { formatByteSize } from '@manyhands/core'
import type { AdmissionRequest } from '../admission-request.ts'
import type { Quota } from '../policy-book.ts'
import type { AdmissionState, Rule } from './rule.ts'

const hours = (ms: number) => `${Number((ms / 3_600_000).toPrecision(3))}`

interface Amount {
  setting: 'attempts' | 'cpuHoursPerDay' | 'disk' | 'transferPerDay'
  most(quota: Quota): number | undefined
  /** What is used without this request. */
  used(client: string, state: AdmissionState): number
  /** What the request adds at once; undefined where only its run will tell. */
  asked?(request: AdmissionRequest): number
  show(value: number): string
  unit: string
}

const AMOUNTS: Amount[] = [
  {
    setting: 'attempts',
    most: (quota) => quota.attempts,
    used: (client, state) => state.liveOf(client),
    asked: () => 1,
    show: String,
    unit: 'attempts',
  },
  {
    setting: 'cpuHoursPerDay',
    most: (quota) => quota.cpuMsPerDay,
    used: (client, state) => state.lastDayOf(client).cpuMs,
    show: hours,
    unit: 'core-hours in the last 24 hours',
  },
  {
    setting: 'disk',
    most: (quota) => quota.diskBytes,
    used: (client, state) => state.diskOf(client),
    asked: ({ resources }) => resources.diskBytes,
    show: formatByteSize,
    unit: 'disk',
  },
  {
    setting: 'transferPerDay',
    most: (quota) => quota.bytesPerDay,
    used: (client, state) => state.lastDayOf(client).bytes,
    show: formatByteSize,
    unit: 'transfer in the last 24 hours',
  },
]

function ruleOf(amount: Amount): Rule {
  const { setting, most, used, asked, show, unit } = amount
  const text = (value: number, limit: number) =>
    `the client uses ${show(value)} of ${show(limit)} ${unit}`
  return {
    name: `quotas.${setting}`,
    temporary: true,
    refuse: (request, state) => {
      const limit = most(state.policy.quotaOf(request.client))
      if (limit === undefined) return undefined
      const now = used(request.client, state)
      const wants = asked?.(request)
      if (wants === undefined ? now < limit : now + wants <= limit) return undefined
      return `${text(now, limit)}${wants === undefined ? '' : `, asks for ${show(wants)} more`}`
    },
    allow: ({ client }, state) => {
      const limit = most(state.policy.quotaOf(client))
      return limit === undefined ? 'not limited' : text(used(client, state), limit)
    },
  }
}

/** How much one client may take. */
export const QUOTA_RULES: Rule[] = AMOUNTS.map(ruleOf)

/** Why what a client runs may not go on: something that only grows while it runs is used up. */
export function usedUp(client: string, state: AdmissionState): string | undefined {
  const quota = state.policy.quotaOf(client)
  for (const { most, used, asked, show, unit } of AMOUNTS) {
    const limit = most(quota)
    if (limit === undefined || asked !== undefined) continue
    const now = used(client, state)
    if (now >= limit) return `used ${show(now)} of ${show(limit)} ${unit}`
  }
  return undefined
}
