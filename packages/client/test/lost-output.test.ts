import { describe, expect, it } from 'vitest'
import type { JobEvent } from '../src/job-event.ts'
import { type Heard, LostOutput } from '../src/lost-output.ts'

const log = (seq: number, task: string, upTo: number, over: object = {}) =>
  ({ kind: 'log', seq, task, attempt: `${task}.1`, stream: 'stdout', upTo, ...over }) as JobEvent
const marks = (lost: LostOutput, seq: number, heard: Heard = new Map(), task?: string) =>
  [...lost.since(seq, heard, task)].map(({ task, attempt, gap }) => [task, attempt, gap])

describe('output that is kept no longer', () => {
  it('is told to whoever has not heard it, stream by stream', () => {
    const lost = new LostOutput()
    lost.forgot([
      log(1, 'a', 10),
      log(2, 'b', 5),
      log(3, 'a', 25),
      { kind: 'task', seq: 4 } as never,
    ])
    expect(marks(lost, 0)).toEqual([
      ['b', 'b.1', 5],
      ['a', 'a.1', 25],
    ])
    expect(marks(lost, 2, new Map([['a.1 stdout', 10]]))).toEqual([['a', 'a.1', 15]])
    expect(marks(lost, 3)).toEqual([])
    expect(marks(lost, 0, new Map(), 'b')).toEqual([['b', 'b.1', 5]])
  })

  it('is told once', () => {
    const lost = new LostOutput()
    const heard: Heard = new Map()
    lost.forgot([log(1, 'a', 10)])
    expect(marks(lost, 0, heard)).toEqual([['a', 'a.1', 10]])
    lost.forgot([log(5, 'a', 30)])
    expect(marks(lost, 4, heard)).toEqual([['a', 'a.1', 20]])
  })

  it('of too many streams is told without their names', () => {
    const lost = new LostOutput()
    for (let seq = 1; seq <= 5000; seq += 1) lost.forgot([log(seq, `t${seq}`, 2)])
    const found = marks(lost, 0)
    expect(found[0]).toEqual(['', '', 2 * (5000 - 4096)])
    expect(found).toHaveLength(4097)
    expect(marks(lost, 0, new Map(), 't5000')).toHaveLength(2)
    expect(marks(lost, 5000)).toEqual([])
  })
})
