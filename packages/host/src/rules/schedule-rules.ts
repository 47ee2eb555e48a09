import type { RuleVerdict } from '../admission-request.ts'
import type { ScheduleOptions } from '../policy.ts'
import type { AdmissionState, Rule } from './rule.ts'

const SETTINGS = [
  'hours',
  'onlyWhenIdle',
  'notOnBattery',
  'pauseWhile',
] as const satisfies (keyof ScheduleOptions)[]

const said = (name: string, state: AdmissionState): RuleVerdict | undefined =>
  state.schedule().find(({ rule }) => rule === name)

/** When the computer is lent. The schedule looks at the computer; its last word is repeated here. */
export const SCHEDULE_RULES: Rule[] = SETTINGS.map((setting) => {
  const name = `schedule.${setting}`
  return {
    name,
    temporary: true,
    refuse: (_, state) => {
      const verdict = said(name, state)
      return verdict === undefined || verdict.allowed ? undefined : verdict.detail
    },
    allow: (_, state) => said(name, state)?.detail ?? 'not asked',
  }
})
