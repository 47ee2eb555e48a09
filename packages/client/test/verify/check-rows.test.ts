import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type JournalDatabase, openJournalDatabase } from '@manyhands/core'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Conduct } from '../../../../bench/shared/simulated-host.ts'
import { SimulatedJob } from '../../../../bench/shared/simulated-job.ts'
import { CHECK_SCHEMA, SqliteCheckRows } from '../../src/journal/check-rows.ts'
import { HostStandings } from '../../src/verify/host-standing.ts'
import { JobChecks } from '../../src/verify/job-checks.ts'
import { MemoryResultBook, type ResultBook } from '../../src/verify/result-book.ts'

let dir: string
let database: JournalDatabase
const open = () => {
  database = openJournalDatabase(join(dir, 'checks.db'), CHECK_SCHEMA, 1)
}
/** As after a restart: what is not in the file is gone. */
const reopen = async () => {
  await database.close()
  open()
  return new SqliteCheckRows(database)
}

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'manyhands-checks-'))
  open()
})
afterEach(async () => {
  await database.close()
  await rm(dir, { recursive: true, force: true })
})

const HOSTS = ['a', 'b', 'c']
const host = fc.constantFrom(...HOSTS)
const task = fc.constantFrom('1', '2', '3', '4', '5', '6')
const state = fc.constantFrom('unchecked', 'checking', 'agreed', 'fallen')
const action = fc.oneof(
  fc.record({ kind: fc.constant('put' as const), task, host }),
  fc.record({ kind: fc.constant('change' as const), task, state, host, other: host }),
  fc.record({ kind: fc.constant('remove' as const), task }),
  // Until here everything is in the file.
  fc.record({ kind: fc.constant('settle' as const) }),
)

function seen(book: ResultBook) {
  const of = (result: ReturnType<ResultBook['get']>) =>
    result && [result.task, result.host, result.state, result.supporters]
  const sets = [['a'], ['b', 'c'], HOSTS].map((hosts) => new Set(hosts))
  return {
    all: ['1', '2', '3', '4', '5', '6'].map((each) => of(book.get(each))),
    last: HOSTS.map((each) => of(book.lastOf(each))),
    unsettled: book
      .unsettled()
      .map(({ task: each, state: now, against }) => `${each} ${now} ${against}`)
      .sort(),
    standing: sets.map((hosts) =>
      book
        .standingOn(hosts)
        .map((each) => each.task)
        .sort(),
    ),
  }
}

describe('a book in the journal', () => {
  it('says what one in memory says, whatever is written already', async () => {
    let jobs = 0
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 25 }), async (actions) => {
        jobs += 1
        const book = new SqliteCheckRows(database).book(`job-${jobs}`)
        const memory = new MemoryResultBook()
        for (const step of actions) {
          if (step.kind === 'settle') await database.transact(() => {})
          for (const each of [book, memory]) {
            if (step.kind === 'put') {
              const { task: of, host: by } = step
              each.put({ task: of, host: by, state: 'unchecked', supporters: [by], against: [] })
            } else if (step.kind === 'remove') each.remove(step.task)
            else if (step.kind === 'change') {
              // Only others' agreement gives a result to another host.
              const before = each.get(step.task)
              const agreed = step.state === 'agreed'
              const by = agreed ? step.host : (before?.host ?? '')
              const supporters = agreed ? [...new Set([by, step.other])] : [by]
              const against = agreed ? ['x'] : []
              each.change(step.task, { state: step.state, host: by, supporters, against })
            }
          }
          expect(seen(book)).toEqual(seen(memory))
        }
        await database.transact(() => {})
        expect(seen(new SqliteCheckRows(database).book(`job-${jobs}`))).toEqual(seen(memory))
      }),
      { numRuns: 60 },
    )
  })

  it('decides a whole job as one in memory does', () => {
    const conducts: Conduct[] = [
      ...Array.from({ length: 6 }, (): Conduct => ({ kind: 'honest' })),
      { kind: 'cheats', share: 0.3 },
      { kind: 'cheats', share: 1, from: 20 },
    ]
    const job = { conducts, tasksPerHost: 40, seed: 11 }
    const book = new SqliteCheckRows(database).book('job')
    expect(new SimulatedJob({ ...job, book }).run()).toEqual(new SimulatedJob(job).run())
  })

  it('keeps jobs apart, and says of one that what is unchecked stands', async () => {
    const rows = new SqliteCheckRows(database)
    for (const job of ['x', 'y']) {
      const book = rows.book(job)
      book.put({ task: '1', host: 'a', state: 'unchecked', supporters: ['a'], against: [] })
      book.put({ task: '2', host: 'a', state: 'agreed', supporters: ['a', 'b'], against: [] })
    }
    await database.transact(() => rows.settle('x'))
    const again = await reopen()
    const states = (job: string) => ['1', '2'].map((task) => again.book(job).get(task)?.state)
    expect([states('x'), states('y')]).toEqual([
      ['stands', 'agreed'],
      ['unchecked', 'agreed'],
    ])
    // Nothing that is found later changes what was handed out.
    expect(
      again
        .book('x')
        .standingOn(new Set(['a', 'b']))
        .map(({ task }) => task),
    ).toEqual(['2'])
  })
})

describe('after a restart', () => {
  it('checks go on where they were', async () => {
    const rows = new SqliteCheckRows(database)
    const standings = new HostStandings()
    const checks = new JobChecks({ standings, book: rows.book('job') })
    checks.committed('1', 'a')
    checks.committed('2', 'a')
    checks.decided('2', { host: 'a', agreed: ['a', 'b'], wrong: ['c'] })
    for (const each of ['a', 'b']) await rows.keepStanding(each, standings.run(each))
    const again = await reopen()
    expect(new HostStandings(again.standings()).toJSON()).toEqual({ a: 1, b: 1 })
    const going = new JobChecks({
      standings: new HostStandings(again.standings()),
      book: again.book('job'),
    })
    expect([going.busy, going.isWrong('c'), going.isWrong('a')]).toEqual([true, true, false])
    going.decided('1', { host: 'b', agreed: ['b', 'd'], wrong: ['a'] })
    expect(going.busy).toBe(false)
    // What a and b had confirmed to each other still stands on b.
    expect(again.book('job').get('2')).toMatchObject({ state: 'agreed' })
  })

  it('a mismatch is remembered', async () => {
    const rows = new SqliteCheckRows(database)
    await rows.keepStanding('a', 12)
    await rows.keepStanding('b', 3)
    await rows.keepStanding('a', 0)
    expect((await reopen()).standings()).toEqual({ b: 3 })
  })
})
