import { type JobSpec, ManyhandsError, resolveCheckpoint, validateJobSpec } from '@manyhands/core'
import { describe, expect, it } from 'vitest'

const spec = (checkpoint: unknown, over: Partial<JobSpec> = {}) =>
  ({ image: 'any', tasks: '1', checkpoint, ...over }) as JobSpec

function refusal(work: () => unknown): ManyhandsError {
  try {
    work()
  } catch (cause) {
    return cause as ManyhandsError
  }
  throw new ManyhandsError('INTERNAL', 'it was not refused')
}

describe('checkpoint of a spec', () => {
  it.each(['/out/state/**', '/out/*.cpt', '/out/[!a]b', '/out/{a,b}.dat', '/out/[]]', '/out'])(
    'takes %s',
    (path) => {
      expect(validateJobSpec(spec({ paths: [path], every: '1s' })).checkpoint!.paths).toEqual([
        path,
      ])
    },
  )

  it.each([
    '/in/a',
    '/etc/passwd',
    'out/a',
    '/out/../a',
    '/out//a',
    '/output/a',
    '/out/[a',
    '/out/{a',
    '/out/a}',
    '/out/[a/b]',
  ])('refuses %s, and names it', (path) => {
    const error = refusal(() => validateJobSpec(spec({ paths: [path], every: '1s' })))
    expect(error.code).toBe('SPEC_INVALID')
    expect(error.message).toContain('spec.checkpoint.paths.0')
    expect(error.message).toContain(path)
  })

  it('needs paths, and a code that a program chose', () => {
    expect(refusal(() => validateJobSpec(spec({ paths: [], every: '1s' }))).code).toBe(
      'SPEC_INVALID',
    )
    for (const continueCode of [0, 126, 1.5, -1]) {
      const given = spec({ paths: ['/out/a'], every: '1s', continueCode })
      expect(refusal(() => validateJobSpec(given)).message).toContain('continueCode')
    }
  })

  it('has an interval of at least a second', () => {
    expect(resolveCheckpoint({ paths: [], every: '1s' }).everyMs).toBe(1000)
    for (const every of ['999ms', 'soon', 0]) {
      const error = refusal(() => resolveCheckpoint({ paths: [], every }))
      expect(error).toMatchObject({ code: 'SPEC_INVALID' })
      expect(error.message).toContain('checkpoint.every')
    }
    // No timer takes more.
    expect(resolveCheckpoint({ paths: [], every: '365d' }).everyMs).toBe(2 ** 31 - 1)
  })

  it.each([{ verify: {} }, { accept: 'quorum' as const }, { speculate: true }])(
    'goes with %o',
    (over) => {
      const given = spec({ paths: ['/out/a'], every: '1s' }, over)
      expect(validateJobSpec(given)).toMatchObject(over)
    },
  )

  it.each([{ split: { by: 'range' as const } }, { warm: {} }])('excludes %o', (over) => {
    const given = spec({ paths: ['/out/a'], every: '1s' }, over)
    const error = refusal(() => validateJobSpec(given))
    expect(error.message).toContain('exclude each other')
  })
})
