import { ManyhandsError } from './errors.ts'
import type { RuntimeExit } from './runtime.ts'

/** Of what a setup wrote last, in the message of its error. */
const TOLD_LINES = 5

/** Whether another task may follow in a warm sandbox; anything else than this end is suspicious. */
export function isCleanExit({ reason, exitCode, signal, oom, detail }: RuntimeExit): boolean {
  return (
    reason === 'exited' && exitCode === 0 && signal === undefined && !oom && detail === undefined
  )
}

/** What a runtime throws when the setup of a warm sandbox did not end cleanly. */
export function setupFailed(exit: RuntimeExit, stderr: string): ManyhandsError {
  const last = stderr.trimEnd().split('\n').slice(-TOLD_LINES).join('\n')
  return new ManyhandsError(
    'SETUP_FAILED',
    `the setup ${howItEnded(exit)}${last === '' ? '' : `: ${last}`}`,
    { details: { stderr } },
  )
}

function howItEnded({ reason, exitCode, signal, oom, detail }: RuntimeExit): string {
  if (reason === 'max-runtime') return 'ran for too long'
  if (reason === 'disk') return 'wrote too much'
  if (oom) return 'ran out of memory'
  if (reason !== 'exited') return `ended: ${detail ?? reason}`
  return `ended with ${signal ?? `exit code ${exitCode}`}`
}
