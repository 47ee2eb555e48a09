import type { AttemptEnd, AttemptPhase } from '@manyhands/core'
import { artifactsOf } from './admission-request.ts'

/** What the store's holders stand for, for people. */
export const HOLDS = {
  results: 'results that wait for their client',
  outputs: 'outputs of attempts that are not over',
  streamed: 'files of attempts that run, for their clients',
  checkpoints: 'checkpoints that their client has not taken',
  inputs: 'inputs of attempts that are not over',
} as const

/** Holder of parts of a result that other hosts may have. */
export const sharedHolder = (attempt: string) => `${attempt} shared`

/** Holder of what an attempt wrote while it runs. */
export const streamedHolder = (attempt: string) => `${attempt} streamed`

/** Holder of checkpoints of an attempt. */
export const checkpointHolder = (attempt: string) => `${attempt} checkpoint`

/** Says what a holder in the store of a running host stands for. */
export function reasonOf(
  holder: string,
  attempt: (id: string) => { over: boolean } | undefined,
): string {
  const of = attempt(holder)
  if (of !== undefined) return of.over ? HOLDS.results : HOLDS.outputs
  if (holder.endsWith(sharedHolder(''))) return HOLDS.results
  if (holder.endsWith(checkpointHolder(''))) return HOLDS.checkpoints
  return holder.endsWith(streamedHolder('')) ? HOLDS.streamed : HOLDS.inputs
}

/** Who needs what, by the journal of a host that does not run. Holders are reasons. */
export function heldByJournal(
  attempts: Iterable<{
    phase: AttemptPhase
    end: AttemptEnd | undefined
    checkpoint?: { root: string } | undefined
    spec: { image: string; inputs: readonly { root: string }[] }
  }>,
): Map<string, string[]> {
  const held = new Map<string, string[]>()
  const hold = (root: string, reason: string) => {
    const reasons = held.get(root) ?? []
    held.set(root, reasons)
    if (!reasons.includes(reason)) reasons.push(reason)
  }
  for (const { end, spec, checkpoint } of attempts) {
    if (end?.outputs !== undefined) hold(end.outputs.root, HOLDS.results)
    const left = end === undefined ? checkpoint : end.checkpoint
    if (left !== undefined) hold(left.root, HOLDS.checkpoints)
    if (end !== undefined) continue
    // Its sandbox may still run, and is taken up again by the next start.
    for (const root of artifactsOf(spec)) hold(root, HOLDS.inputs)
  }
  return held
}
