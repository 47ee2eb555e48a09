import type { Output } from '../../output.ts'
import { clean } from '../../table.ts'
import type { Check } from './check.ts'

const MARKS = { ok: ['green', 'ok  '], warn: ['yellow', 'warn'], fail: ['red', 'FAIL'] } as const

/** The examination for people. */
export function reportText(checks: Check[], output: Pick<Output, 'style'>): string {
  return checks
    .flatMap((check) => {
      const [color, mark] = MARKS[check.state]
      return [
        `${output.style(color, mark)}  ${check.name}: ${clean(check.detail)}`,
        ...(check.todo === undefined ? [] : [`        to do: ${check.todo}`]),
      ]
    })
    .join('\n')
}
