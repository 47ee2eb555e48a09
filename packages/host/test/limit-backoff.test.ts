import { type AttemptEnd, type ErrorCode, ManyhandsError } from '@manyhands/core'
import { describe, expect, it } from 'vitest'
import { LimitBackoff } from '../src/limit-backoff.ts'

const end = (code?: ErrorCode, durationMs = 100) =>
  ({
    durationMs,
    error: code === undefined ? undefined : new ManyhandsError(code, 'it ended').toJSON(),
  }) as AttemptEnd

describe('a client whose attempts break limits at once', () => {
  it('waits from the second in a row on, twice as long each time, within bounds', () => {
    const backoff = new LimitBackoff()
    const waits = Array.from({ length: 9 }, (_, index) => {
      backoff.ended('a', end((['TASK_DISK', 'TASK_OOM'] as const)[index % 2]), 1000)
      return backoff.of('a', 1000).waitMs
    })
    expect(waits).toEqual([0, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
    expect(backoff.of('a', 31_001)).toEqual({ count: 9, waitMs: 0 })
    expect(backoff.of('b', 1000)).toEqual({ count: 0, waitMs: 0 })
  })

  it.each([
    ['that completes', end()],
    ['that fails by itself', end('TASK_FAILED')],
    ['that worked before it broke one', end('TASK_OOM', 60_000)],
  ])('has made it good by one %s', (_, other) => {
    const backoff = new LimitBackoff()
    for (let index = 0; index < 5; index += 1) backoff.ended('a', end('TASK_DISK'))
    backoff.ended('a', other)
    expect(backoff.of('a')).toEqual({ count: 0, waitMs: 0 })
  })

  it.each([
    ['canceled by the client', { ...end(), by: 'client' } as AttemptEnd],
    ['evicted by the owner', { ...end('EVICTED'), by: 'host' } as AttemptEnd],
    ['lost by this host', end('HOST_FAILED')],
  ])('goes on waiting when one is %s', (_, other) => {
    const backoff = new LimitBackoff()
    for (let index = 0; index < 3; index += 1) backoff.ended('a', end('TASK_DISK'), 0)
    backoff.ended('a', other, 0)
    expect(backoff.of('a', 0)).toEqual({ count: 3, waitMs: 2000 })
  })

  it('is one of a bounded number; who did it longest ago is forgotten', () => {
    const backoff = new LimitBackoff()
    for (let index = 0; index < 2000; index += 1) backoff.ended(`${index}`, end('TASK_DISK'))
    expect(backoff.of('0').count).toBe(0)
    expect(backoff.of('1999').count).toBe(1)
  })
})
