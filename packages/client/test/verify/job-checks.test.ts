import { describe, expect, it } from 'vitest'
import { mayHandOut } from '../../src/verify/hand-out.ts'
import { checkRate, HostStandings, PROBATION } from '../../src/verify/host-standing.ts'
import { JobChecks, type JobChecksOptions } from '../../src/verify/job-checks.ts'
import { MemoryResultBook } from '../../src/verify/result-book.ts'

/** A draw that is only won by what is checked for certain. */
const never = () => 0.999_999

function checksOf(options: Partial<JobChecksOptions> = {}) {
  const standings = new HostStandings()
  const book = new MemoryResultBook()
  const parts = { standings, book, random: never, ...options }
  return { ...parts, checks: new JobChecks(parts) }
}

/** Results of a host that are checked and turn out right, until it is only sampled. */
function vouchFor({ checks }: ReturnType<typeof checksOf>, host: string, by: string, from = 0) {
  for (let n = from; n < from + PROBATION; n += 1) {
    expect(checks.committed(`${host}-${n}`, host).check).toEqual([`${host}-${n}`])
    checks.decided(`${host}-${n}`, { host, agreed: [host, by], wrong: [] })
  }
}

describe('the rate', () => {
  it('is everything until ten agreed in a row, then less, and never less than the sample', () => {
    expect([0, 9].map((run) => checkRate(run, 0.03))).toEqual([1, 1])
    expect([10, 20, 33, 34, 1000].map((run) => checkRate(run, 0.03))).toEqual([
      0.1,
      0.05,
      1 / 33,
      0.03,
      0.03,
    ])
    expect(checkRate(1000, 0.5)).toBe(0.5)
    expect(checkRate(1000, 0)).toBe(0.001)
  })

  it('is this client’s own, and survives being kept', () => {
    const standings = new HostStandings()
    for (let n = 0; n < 12; n += 1) standings.agreed('a')
    const kept = new HostStandings(JSON.parse(JSON.stringify(standings)))
    expect([kept.run('a'), kept.run('b')]).toEqual([12, 0])
    kept.mismatched('a')
    expect(kept.run('a')).toBe(0)
  })
})

describe('checks', () => {
  it('are for every result of a stranger, then for few', () => {
    const world = checksOf()
    vouchFor(world, 'a', 'b')
    expect(world.checks.committed('next', 'a').check).toEqual([])
    expect(world.book.get('next')).toMatchObject({
      state: 'unchecked',
      supporters: ['a'],
      against: [],
    })
    // b has agreed as often, and was never asked first.
    expect(world.checks.committed('own', 'b').check).toEqual([])
  })

  it('under way count as if they had agreed, so that many results at once cost no more', () => {
    const { checks } = checksOf()
    const ordered = Array.from({ length: 50 }, (_, n) => checks.committed(`${n}`, 'a').check)
    expect(ordered.flat()).toHaveLength(PROBATION)
    expect(checks.busy).toBe(true)
  })

  it('are drawn when the result is here, once for each', () => {
    const drawn: number[] = []
    const world = checksOf({ random: () => drawn.push(0) / 1e9 })
    expect(drawn).toHaveLength(0)
    world.checks.committed('1', 'a')
    world.checks.committed('2', 'a')
    expect(drawn).toHaveLength(2)
  })

  it('are for everything where replicas have to agree first', () => {
    const world = checksOf({ everything: true })
    vouchFor(world, 'a', 'b')
    expect(world.checks.committed('next', 'a').check).toEqual(['next'])
  })

  it('are drawn such that nobody foretells it, unless told otherwise', () => {
    const standings = new HostStandings({ a: 100 })
    const checks = new JobChecks({ standings, book: new MemoryResultBook(), sample: 0.5 })
    const ordered = Array.from({ length: 400 }, (_, n) => checks.committed(`${n}`, 'a').check)
    // Ten standard deviations around the mean.
    expect(ordered.flat().length).toBeGreaterThan(100)
    expect(ordered.flat().length).toBeLessThan(300)
  })
})

describe('one mismatch', () => {
  it('takes back what was unchecked, and leaves what others have confirmed', () => {
    const world = checksOf()
    vouchFor(world, 'a', 'b')
    world.checks.committed('unchecked-1', 'a')
    world.checks.committed('unchecked-2', 'a')
    world.checks.committed('of-b', 'b')
    const { checks, book, standings } = world
    book.put({ task: 'caught', host: 'a', state: 'checking', supporters: ['a'], against: [] })
    const orders = checks.decided('caught', { host: 'b', agreed: ['b', 'c'], wrong: ['a'] })
    expect(orders).toEqual({ check: [], rerun: ['unchecked-1', 'unchecked-2'] })
    expect(standings.run('a')).toBe(0)
    expect(book.get('a-0')).toMatchObject({ state: 'agreed' })
    expect(book.get('caught')).toMatchObject({ state: 'agreed', host: 'b', supporters: ['b', 'c'] })
    expect(book.get('of-b')).toBeDefined()
    expect(book.get('unchecked-1')?.state).toBe('fallen')
    expect([checks.isWrong('a'), checks.isWrong('b')]).toEqual([true, false])
  })

  it('has everything of the host checked for the rest of the job', () => {
    const world = checksOf({ standings: new HostStandings({ a: 1000 }) })
    world.book.put({ task: 'caught', host: 'a', state: 'checking', supporters: ['a'], against: [] })
    world.checks.decided('caught', { host: 'b', agreed: ['b', 'c'], wrong: ['a'] })
    vouchFor(world, 'a', 'b')
    expect(world.checks.committed('next', 'a').check).toEqual(['next'])
  })

  it('of the second of two takes back what they have confirmed to each other', () => {
    const world = checksOf()
    vouchFor(world, 'a', 'b')
    const { checks, book } = world
    for (const [task, host] of [
      ['x', 'a'],
      ['y', 'b'],
    ] as const) {
      book.put({ task, host, state: 'checking', supporters: [host], against: [] })
    }
    expect(checks.decided('x', { host: 'c', agreed: ['c', 'd'], wrong: ['a'] }).rerun).toEqual([])
    const { rerun } = checks.decided('y', { host: 'c', agreed: ['c', 'd'], wrong: ['b'] })
    expect(rerun).toEqual(Array.from({ length: PROBATION }, (_, n) => `a-${n}`))
  })

  it('has been seen: two that were found wrong confirm nothing any more', () => {
    const world = checksOf()
    for (const host of ['a', 'b']) {
      world.checks.committed(`of ${host}`, host)
      world.checks.decided(`of ${host}`, { host: 'c', agreed: ['c', 'd'], wrong: [host] })
    }
    const { checks, book } = world
    expect(checks.committed('x', 'a').check).toEqual(['x'])
    expect(checks.decided('x', { host: 'a', agreed: ['a', 'b'], wrong: [] }).rerun).toEqual(['x'])
    expect(book.get('x')?.state).toBe('fallen')
  })

  it('that two have made up is none any more when they are found wrong themselves', () => {
    const world = checksOf()
    const { checks, book } = world
    checks.committed('x', 'a')
    checks.decided('x', { host: 'a', agreed: ['a', 'b'], wrong: ['honest'] })
    expect(checks.isWrong('honest')).toBe(true)
    checks.committed('y', 'a')
    checks.decided('y', { host: 'c', agreed: ['c', 'd'], wrong: ['a'] })
    expect(checks.isWrong('honest')).toBe(true)
    checks.committed('z', 'b')
    const { rerun } = checks.decided('z', { host: 'c', agreed: ['c', 'd'], wrong: ['b'] })
    expect(rerun).toEqual(['x'])
    expect(['honest', 'a', 'b'].map((host) => checks.isWrong(host))).toEqual([false, true, true])
    // Also for whoever reads it in the book.
    const again = new JobChecks({ ...world, book })
    expect(['honest', 'a', 'b'].map((host) => again.isWrong(host))).toEqual([false, true, true])
  })

  it('is enough: who was found wrong twice stays so when one of them falls', () => {
    const { checks } = checksOf()
    for (const [task, by] of [
      ['x', ['a', 'b']],
      ['y', ['c', 'd']],
    ] as const) {
      checks.committed(task, by[0])
      checks.decided(task, { host: by[0], agreed: [...by], wrong: ['bad'] })
    }
    for (const host of ['a', 'b']) {
      checks.committed(`of ${host}`, host)
      checks.decided(`of ${host}`, { host: 'c', agreed: ['c', 'd'], wrong: [host] })
    }
    expect(checks.isWrong('bad')).toBe(true)
  })

  it('leaves what is being checked to its check', () => {
    const { checks } = checksOf()
    checks.committed('1', 'a')
    checks.committed('2', 'a')
    const caught = { host: 'b', agreed: ['b', 'c'], wrong: ['a'] }
    expect(checks.decided('1', caught).rerun).toEqual([])
    expect(checks.decided('2', caught).rerun).toEqual([])
    expect(() => checks.decided('2', caught)).toThrow('is not being checked')
  })
})

describe('the end of a job', () => {
  it('checks the last word of every host', () => {
    const world = checksOf()
    vouchFor(world, 'a', 'b')
    for (const task of ['1', '2', '3']) world.checks.committed(task, 'a')
    expect(world.checks.closing().check).toEqual(['3'])
    expect(world.checks.closing().check).toEqual([])
    world.checks.decided('3', { host: 'a', agreed: ['a', 'b'], wrong: [] })
    expect(world.checks.closing().check).toEqual([])
  })

  it('of a host whose last word was wrong takes back all that was unchecked', () => {
    const world = checksOf()
    vouchFor(world, 'a', 'b')
    for (const task of ['1', '2', '3']) world.checks.committed(task, 'a')
    world.checks.closing()
    const orders = world.checks.decided('3', { host: 'b', agreed: ['b', 'c'], wrong: ['a'] })
    expect(orders.rerun).toEqual(['1', '2'])
  })

  it('of a task that is disputed, and has failed, finds nobody wrong', () => {
    const { checks, book, standings } = checksOf()
    checks.committed('1', 'a')
    checks.withdrawn('1')
    expect(book.get('1')).toBeUndefined()
    expect(checks.isWrong('a')).toBe(false)
    expect(checks.undecided('a')).toBe(0)
    expect(standings.run('a')).toBe(0)
    expect(checks.busy).toBe(false)
  })

  it('comes also after a restart', () => {
    const world = checksOf()
    world.checks.committed('1', 'a')
    const again = new JobChecks(world)
    expect(again.busy).toBe(true)
    again.decided('1', { host: 'b', agreed: ['b', 'c'], wrong: ['a'] })
    expect(again.busy).toBe(false)
    expect(new JobChecks(world).isWrong('a')).toBe(true)
  })
})

describe('a result that is taken back for a reason of its own', () => {
  it('is nobody’s fault, and not waited for', () => {
    const { checks, book, standings } = checksOf()
    checks.committed('1', 'a')
    checks.withdrawn('1')
    expect([checks.busy, checks.isWrong('a'), standings.run('a')]).toEqual([false, false, 0])
    expect(book.get('1')).toBeUndefined()
  })

  it('acquits whom its check had found wrong', () => {
    const { checks } = checksOf()
    checks.committed('1', 'a')
    checks.decided('1', { host: 'b', agreed: ['b', 'c'], wrong: ['a'] })
    expect(checks.isWrong('a')).toBe(true)
    checks.withdrawn('1')
    expect(checks.isWrong('a')).toBe(false)
  })
})

describe('results are handed out', () => {
  const states = [undefined, 'unchecked', 'checking', 'agreed', 'fallen', 'stands'] as const
  it.each([
    ['provisional', false, [true, true, true, true, false, true]],
    ['latest', false, [true, true, true, true, false, true]],
    ['quorum', false, [false, false, false, true, false, true]],
    ['quorum', true, [false, false, false, true, false, true]],
    ['job-end', false, [false, false, false, false, false, true]],
    // What was broken off is not handed out when the job is over, either.
    ['job-end', true, [false, false, false, true, false, true]],
  ] as const)('%s, job over: %s', (accept, over, expected) => {
    expect(states.map((state) => mayHandOut(accept, state, over))).toEqual(expected)
  })
})
