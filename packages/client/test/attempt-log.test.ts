import { type AttemptEvent, NO_USAGE } from '@manyhands/core'
import { describe, expect, it } from 'vitest'
import { AttemptLog } from '../src/attempt-log.ts'

let seq = 0
const event = (over: Partial<AttemptEvent>): AttemptEvent => ({
  attempt: 'a.1',
  seq: ++seq,
  phase: 'running',
  ...over,
})
const bytes = (text: string) => new Uint8Array(Buffer.from(text))
const END = {
  oom: false,
  timedOut: false,
  durationMs: 1,
  usage: NO_USAGE,
  stdoutTail: bytes(''),
  stderrTail: bytes(''),
}

describe('what an attempt writes', () => {
  it('is text, also where a character was cut in two', () => {
    const log = new AttemptLog()
    const whole = bytes('für')
    expect(log.take(event({ stdout: whole.subarray(0, 2), stdoutAt: 0 }))).toEqual([
      { stream: 'stdout', text: 'f', upTo: 2 },
    ])
    expect(log.take(event({ stdout: whole.subarray(2), stdoutAt: 2, stderr: bytes('e') }))).toEqual(
      [
        { stream: 'stdout', text: 'ür', upTo: 4 },
        { stream: 'stderr', text: 'e', upTo: 1 },
      ],
    )
  })

  it('has a mark where some of it is missing', () => {
    const log = new AttemptLog()
    log.take(event({ stdout: bytes('one'), stdoutAt: 0 }))
    expect(log.take(event({ stdout: bytes('three'), stdoutAt: 8 }))).toEqual([
      { stream: 'stdout', text: '', gap: 5, upTo: 8 },
      { stream: 'stdout', text: 'three', upTo: 13 },
    ])
    expect(log.take(event({ phase: 'completed', end: END, stdoutAt: 20, stderrAt: 0 }))).toEqual([
      { stream: 'stdout', text: '', gap: 7, upTo: 20 },
    ])
  })

  it('is not told twice when an event comes again', () => {
    const log = new AttemptLog()
    const last = event({ phase: 'failed', stdout: bytes('end'), stdoutAt: 0, end: END })
    expect(log.take(last)).toHaveLength(1)
    expect(log.take(last)).toEqual([])
  })

  it('begins anew with a host that was started again, and has no marks of one that does not count', () => {
    const log = new AttemptLog()
    log.take(event({ stdout: bytes('before'), stdoutAt: 0 }))
    expect(log.take(event({ stdout: bytes('after'), stdoutAt: 0 }))).toEqual([
      { stream: 'stdout', text: 'after', upTo: 5 },
    ])
    expect(log.take(event({ stdout: bytes('!') }))).toEqual([
      { stream: 'stdout', text: '!', upTo: 6 },
    ])
  })
})
