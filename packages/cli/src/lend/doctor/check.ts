import type { RuntimeCapabilities, RuntimeFingerprint } from '@manyhands/core'
import type { EngineExamination } from '@manyhands/docker-runtime'
import type { CommandContext } from '../../command-context.ts'

/** One thing looked at. What is not `ok` comes with what to do about it. */
export interface Check {
  name: string
  /** `warn`: a host can run, and its owner should know; `fail`: something does not work. */
  state: 'ok' | 'warn' | 'fail'
  /** Whether `state` is not `fail`. */
  ok: boolean
  detail: string
  todo?: string
  /** For a runtime: its name and what it says of itself. */
  runtime?: string
  attributes?: Record<string, string>
}

/** A runtime as it was found: opened, asked, and closed again. */
export interface FoundRuntime {
  name: string
  fingerprint: RuntimeFingerprint
  capabilities: RuntimeCapabilities | undefined
  /** What to do when it could not even be asked. */
  hint?: string
}

/** What checks look at; gathered once. */
export interface Patient {
  context: Pick<CommandContext, 'env' | 'cwd'>
  stateDirectory: string
  runtimes: FoundRuntime[]
  /** Absent when Docker is not asked about. */
  engines: EngineExamination | undefined
}

export type Examiner = (patient: Patient) => Promise<Check[]> | Check[]

export const ok = (name: string, detail: string): Check => ({ name, state: 'ok', ok: true, detail })

export const warn = (name: string, detail: string, todo: string): Check => ({
  name,
  state: 'warn',
  ok: true,
  detail,
  todo,
})

export const fail = (name: string, detail: string, todo: string): Check => ({
  name,
  state: 'fail',
  ok: false,
  detail,
  todo,
})

/** Docker's runtime when it can be used. */
export function usableDocker(patient: Patient): FoundRuntime | undefined {
  return patient.runtimes.find(
    ({ name, fingerprint }) => name === 'docker' && fingerprint.available,
  )
}
