import type { Comparator, TaskResult } from '@manyhands/core'
import { type Agreement, type AgreementStep, nextStep, withComparison } from './agreement.ts'
import { compareResults } from './compare-results.ts'

/** An agreement of which everything that is here was compared. */
export interface ComparedAgreement {
  agreement: Agreement
  step: Exclude<AgreementStep, { step: 'compare' }>
}

/**
 * Compares what is to be compared, one pair after the other: the two that are looked at are all that is in
 * memory.
 *
 * @param resultOf - the result of an attempt, with its outputs on this client's disk
 * @throws as compareResults
 */
export async function compareReplicas(
  agreement: Agreement,
  comparator: Comparator,
  resultOf: (attempt: string) => TaskResult | Promise<TaskResult>,
): Promise<ComparedAgreement> {
  let compared = agreement
  for (;;) {
    const step = nextStep(compared)
    if (step.step !== 'compare') return { agreement: compared, step }
    for (const [a, b] of step.pairs) {
      const comparison = await compareResults(comparator, await resultOf(a), await resultOf(b))
      const distance = comparison.equal ? comparison.distance : (false as const)
      compared = withComparison(compared, { a, b, distance })
    }
  }
}
