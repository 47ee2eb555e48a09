import { describe, expect, it } from 'vitest'
import { endedOverQuota, programExit } from '../src/warm/program-exit.ts'

const ENDED = { kind: 'ended', leftSome: false, outOfTime: false, residents: false } as const

describe('the end of a program in a warm container', () => {
  it('that wrote more than its quota is told as disk, whichever limit ended it', () => {
    const inTime = programExit({ ...ENDED, status: 0 }, false)
    const outOfTime = programExit({ ...ENDED, status: 9, outOfTime: true }, false)
    expect([inTime.reason, outOfTime.reason]).toEqual(['exited', 'max-runtime'])
    expect(endedOverQuota(inTime)).toEqual({ ...inTime, reason: 'disk' })
    expect(endedOverQuota(outOfTime)).toEqual({ ...outOfTime, reason: 'disk' })
  })

  it('that we ended stays so', () => {
    const stopped = { ...programExit({ ...ENDED, status: 15 }, false), reason: 'stopped' } as const
    expect(endedOverQuota(stopped)).toEqual(stopped)
  })
})
