import { constants } from 'node:os'
import type { RuntimeExit } from '@manyhands/core'
import type { WatchedExit } from './exit-watch.ts'
import { agrees, type EndRecord } from './init/end-record.ts'

/** Why we ended a container; undefined when we did not. */
export type OwnEnd = 'stopped' | 'max-runtime' | 'disk' | undefined

/** Names of signals by number. */
// Reversed, because a number's usual name comes before its aliases and the last entry wins.
export const SIGNALS = new Map<number, string>(
  Object.entries(constants.signals)
    .map(([name, code]) => [code, name] as const)
    .reverse(),
)

/**
 * The end of a container from four sources: the engine's flags, our own record of what we did to it,
 * what its first process wrote down, and whether its engine was restarted meanwhile. The exit code
 * alone proves nothing.
 */
export function exitFacts(
  watched: WatchedExit,
  own: OwnEnd,
  engineRestarted: boolean,
  written: EndRecord | undefined,
): RuntimeExit {
  if (watched.lost) {
    const detail = 'the engine did not answer for too long'
    return { exitCode: undefined, signal: undefined, oom: false, reason: 'engine-lost', detail }
  }
  const state = watched.found?.State
  if (state === undefined) {
    const reason = own ?? 'engine-lost'
    const detail = 'the container was removed before its end was read'
    return { exitCode: undefined, signal: undefined, oom: false, reason, detail }
  }
  const record = written !== undefined && agrees(written, state.ExitCode) ? written : undefined
  // A code beyond 128 is a signal, unless the program is known to have chosen it itself.
  const chosen = record?.state === 'exited' && 'code' in record
  const signal = state.ExitCode > 128 && !chosen ? SIGNALS.get(state.ExitCode - 128) : undefined
  const ended = { exitCode: state.ExitCode, signal, oom: state.OOMKilled }
  const detail = state.Error ? { detail: state.Error } : {}
  if (own !== undefined) return { ...ended, reason: own, ...detail }
  if (record?.state === 'max-runtime') return { ...ended, reason: 'max-runtime', ...detail }
  if (engineRestarted) {
    return { ...ended, reason: 'engine-lost', detail: 'the engine was restarted under the task' }
  }
  // A file as long as the whole quota was cut off by the kernel before our meter saw it.
  if (signal === 'SIGXFSZ') return { ...ended, reason: 'disk', ...detail }
  return { ...ended, reason: 'exited', ...detail }
}
