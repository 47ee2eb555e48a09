import { type AttemptEnd, type ErrorCode, ManyhandsError, NO_USAGE } from '@manyhands/core'
import { describe, expect, it } from 'vitest'
import { judgeEnd, judgeError } from '../src/judge-end.ts'

const end = (code?: ErrorCode): AttemptEnd => ({
  oom: false,
  timedOut: false,
  durationMs: 1,
  usage: NO_USAGE,
  stdoutTail: new Uint8Array(),
  stderrTail: new Uint8Array(),
  error: code && new ManyhandsError(code, 'x').toJSON(),
})

describe('whose fault decides', () => {
  it.each([
    ['TASK_FAILED', 'task-failure'],
    ['TASK_OOM', 'task-failure'],
    ['TASK_TIMEOUT', 'task-failure'],
    ['OUTPUT_MISSING', 'task-failure'],
    ['HOST_BUSY', 'move'],
    ['HOST_FAILED', 'move'],
    ['RUNTIME_FAILED', 'move'],
    ['RUNTIME_UNAVAILABLE', 'move'],
    ['PEER_GONE', 'move'],
    ['HOST_DRAINING', 'move'],
    ['HOST_REFUSED', 'move-and-exclude'],
    ['IMAGE_NOT_FOUND', 'move-and-exclude'],
    ['IMAGE_INVALID', 'give-up'],
    ['COMMAND_INVALID', 'give-up'],
    ['INPUT_CHANGED', 'give-up'],
  ] as const)('%s: %s', (code, verdict) => {
    expect(judgeError(code)).toBe(verdict)
    expect(judgeEnd('failed', end(code))).toBe(verdict)
  })

  it('an eviction or a cancellation uses up nothing', () => {
    expect(judgeEnd('evicted', end('EVICTED'))).toBe('move')
    expect(judgeEnd('canceled', end())).toBe('move')
  })

  it('a code from a newer host is the host’s fault', () => {
    const unknown = {
      ...end(),
      error: { ...new ManyhandsError('INTERNAL', 'x').toJSON(), code: 'NEW' as never },
    }
    expect(judgeEnd('failed', unknown)).toBe('move')
  })
})
