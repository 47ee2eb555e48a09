import { constants } from 'node:os'
import type { RuntimeExit } from '@manyhands/core'
import type { GuestEnd } from './guest-protocol.ts'

/** Why we ended a machine, when we did. */
export type OwnEnd = 'stopped' | 'max-runtime' | 'disk' | undefined

export interface MachineFacts {
  end: GuestEnd | undefined
  /** Whether /out was handed over; undefined when the machine ended before. */
  whole: boolean | undefined
  skipped: string | undefined
  ownEnd: OwnEnd
  /** How the guest broke the protocol. */
  fault: string | undefined
  /** What went wrong on this computer while taking outputs. */
  trouble: string | undefined
  lastWords: string
}

const KILLED = { exitCode: 137, signal: 'SIGKILL' }

/** How an attempt ended, from our own record first, then from what the guest says. */
export function machineExit(facts: MachineFacts): RuntimeExit {
  const { end, ownEnd } = facts
  const oom = (end?.status.oomKills ?? 0) > 0
  if (facts.fault !== undefined) {
    // Its init never does that: the task is somebody else there now, and it is the task's failure.
    const detail = `the guest broke the protocol: ${facts.fault}`
    return { ...KILLED, oom: false, reason: ownEnd ?? 'exited', detail }
  }
  if (end === undefined) {
    if (ownEnd !== undefined) return { ...KILLED, oom: false, reason: ownEnd }
    return lost(`the machine ended: ${facts.lastWords}`)
  }
  const exit = { ...codeOf(end), oom }
  if (ownEnd !== undefined) return { ...exit, reason: ownEnd }
  if (facts.trouble !== undefined) return lost(`outputs could not be kept: ${facts.trouble}`)
  if (facts.whole === undefined) return lost(`the machine ended before its outputs were here`)
  if (!facts.whole) return { ...exit, reason: 'disk', detail: '/out is over its quota' }
  const reason = end.reason === 'stopped' ? 'exited' : end.reason
  return { ...exit, reason, ...(facts.skipped === undefined ? {} : { detail: facts.skipped }) }
}

function lost(detail: string): RuntimeExit {
  return { exitCode: undefined, signal: undefined, oom: false, reason: 'engine-lost', detail }
}

function codeOf({ code, signal }: GuestEnd): Pick<RuntimeExit, 'exitCode' | 'signal'> {
  if (signal === undefined) return { exitCode: code, signal: undefined }
  const name = Object.entries(constants.signals).find(([, number]) => number === signal)?.[0]
  return { exitCode: 128 + signal, signal: name ?? `SIG${signal}` }
}
