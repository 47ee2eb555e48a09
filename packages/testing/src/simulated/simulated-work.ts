import {
  type AttemptEnd,
  type ErrorCode,
  LIMITS,
  ManyhandsError,
  parseDuration,
  toManyhandsError,
} from '@manyhands/core'
import { parseScript, type Script } from '../scripted-script.ts'
import { type SeededRandom, seededRandom } from './seeded-random.ts'
import type { SimulatedHostOptions, SimulatedTask, SimulateOptions } from './simulate-options.ts'
import type { SimulatedAttempt } from './simulated-attempt.ts'

/** How an attempt goes: after so long, so. */
export interface PlannedEnd {
  /** Milliseconds at this host; infinite for what hangs. */
  afterMs: number
  end: Omit<Partial<AttemptEnd>, 'error'> & { error?: ManyhandsError }
  /** What it has written below /out by then. */
  files?: Record<string, string | Uint8Array>
}

/** A host at which everything fails does so this fast, ms. */
const FAILS_MS = 100

/**
 * What becomes of an attempt at a host of this kind. Never throws: what is wrong is the attempt's end.
 *
 * @param before - attempts that this host has begun before
 */
export function plannedEnd(
  attempt: SimulatedAttempt,
  host: SimulatedHostOptions,
  work: SimulateOptions['work'],
  random: SeededRandom,
  before: number,
): PlannedEnd {
  if (random.chance(host.failsTasks ?? 0)) {
    return { afterMs: FAILS_MS, end: { exitCode: 1, error: failed(1) } }
  }
  const lie = host.ring === undefined ? random : seededRandom(0).of(`${host.ring} ${attempt.task}`)
  const honest = before < (host.cheatsAfter ?? 0)
  if (!honest && lie.chance(host.cheats ?? 0)) {
    const madeUp = `made up ${lie()}`
    const files = Object.keys(writtenBy(attempt, work)).map((path) => [path, madeUp])
    return {
      afterMs: 0,
      end: { exitCode: 0, stdoutTail: tail(madeUp) },
      files: Object.fromEntries(files),
    }
  }
  try {
    return limited(attempt, scripted(scriptOf(attempt, work), attempt, host.speed ?? 1))
  } catch (cause) {
    return { afterMs: 0, end: { error: toManyhandsError(cause, 'RUNTIME_FAILED') } }
  }
}

/** What an honest host would have of it. */
function writtenBy(attempt: SimulatedAttempt, work: SimulateOptions['work']) {
  try {
    return scriptOf(attempt, work).write ?? {}
  } catch {
    return {}
  }
}

function scriptOf(attempt: SimulatedAttempt, work: SimulateOptions['work']): Script {
  const { command, args } = attempt.spec
  if (work === undefined) return parseScript(command?.slice(1) ?? args ?? [])
  const made = work(taskOf(attempt))
  return typeof made === 'object' ? made : { for: made }
}

function taskOf(attempt: SimulatedAttempt): SimulatedTask {
  const { runtime, image, command, args, env } = attempt.spec
  const { task: key, job, epoch } = attempt
  const restored = attempt.spec.restore !== undefined
  return { key, job, epoch, restored, runtime, image, command, args, env }
}

function scripted(script: Script, { id, spec }: SimulatedAttempt, speed: number): PlannedEnd {
  if (script.failStart) {
    const error = new ManyhandsError('RUNTIME_FAILED', `${id}: the script fails to start`)
    return { afterMs: 0, end: { error } }
  }
  const unknown = (['cat', 'copy', 'link', 'flood'] as const).find(
    (name) => script[name] !== undefined,
  )
  if (unknown !== undefined) {
    throw new ManyhandsError('COMMAND_INVALID', `a simulated host does not know --${unknown}`)
  }
  const durationMs = script.hang ? Number.POSITIVE_INFINITY : parseDuration(script.for ?? 0)
  const afterMs = durationMs / speed
  const variables = (script.env ?? []).map((name) => `${spec.env[name] ?? ''}\n`)
  const end = {
    stdoutTail: tail((script.stdout ?? '') + variables.join('')),
    stderrTail: tail(script.stderr ?? ''),
  }
  const fails = (code: ErrorCode, message: string) => new ManyhandsError(code, message)
  if (script.engineLost) {
    const error = fails('RUNTIME_UNAVAILABLE', 'the engine went away under the task')
    return { afterMs, end: { ...end, error } }
  }
  if (script.oom) {
    const error = fails('TASK_OOM', 'the task used up its memory')
    return { afterMs, end: { ...end, exitCode: 137, oom: true, error } }
  }
  const exitCode = script.exit ?? 0
  return {
    afterMs,
    end: { ...end, exitCode, ...(exitCode === 0 ? {} : { error: failed(exitCode) }) },
    ...(script.write === undefined ? {} : { files: script.write }),
  }
}

function limited({ spec }: SimulatedAttempt, plan: PlannedEnd): PlannedEnd {
  if (spec.timeoutMs === 0 || plan.afterMs <= spec.timeoutMs) return plan
  const error = new ManyhandsError('TASK_TIMEOUT', `the task ran longer than ${spec.timeoutMs} ms`)
  return { afterMs: spec.timeoutMs, end: { timedOut: true, signal: 'SIGKILL', error } }
}

function failed(exitCode: number): ManyhandsError {
  return new ManyhandsError('TASK_FAILED', `the task ended with exit code ${exitCode}`)
}

const tail = (text: string) => new TextEncoder().encode(text).subarray(-LIMITS.outputTailBytes)
