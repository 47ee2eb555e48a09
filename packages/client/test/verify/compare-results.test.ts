import { type Comparator, LIMITS } from '@manyhands/core'
import { describe, expect, it } from 'vitest'
import { compareResults } from '../../src/verify/compare-results.ts'
import { resultWith } from './results.ts'

async function equal(comparator: Comparator, ...files: [object, object]): Promise<boolean> {
  const [a, b] = files.map((content) => resultWith(content as Record<string, string>))
  const [one, other] = [
    await compareResults(comparator, a!, b!),
    await compareResults(comparator, b!, a!),
  ]
  expect(other.equal).toBe(one.equal)
  if (one.equal) expect(one.distance).toBeGreaterThanOrEqual(0)
  else expect(one.why).toBeTruthy()
  return one.equal
}

describe('bytes', () => {
  it('are the same or not', async () => {
    expect(await equal('bytes', { a: '1' }, { a: '1' })).toBe(true)
    expect(await equal('bytes', { a: '1' }, { a: '2' })).toBe(false)
    expect(await equal('bytes', { a: '1' }, { b: '1' })).toBe(false)
  })

  it('are those of stdout where there is nothing else, or where that is asked for', async () => {
    const said = (stdoutTail: string, files = {}) => resultWith(files, { stdoutTail })
    expect((await compareResults('bytes', said('3'), said('4'))).equal).toBe(false)
    expect((await compareResults('bytes', said('3'), said('3'))).equal).toBe(true)
    const [a, b] = [said('3', { a: '' }), said('4', { a: '' })]
    expect((await compareResults('bytes', a, b)).equal).toBe(true)
    expect((await compareResults({ kind: 'bytes', stdout: true }, a, b)).equal).toBe(false)
  })
})

describe('json', () => {
  const json = (a: string, b: string, options: object = {}) =>
    equal({ kind: 'json', ...options }, { 'r.json': a }, { 'r.json': b })

  it('has tolerances for numbers alone', async () => {
    expect(await json('{"a":[1,{"b":2}]}', '{"a":[1,{"b":2.0000000001}]}')).toBe(true)
    expect(await json('{"b":1,"a":2}', ' { "a": 2, "b": 1 } ')).toBe(true)
    expect(await json('[1]', '[1.1]')).toBe(false)
    expect(await json('[1]', '[1.1]', { relative: 0.1 })).toBe(true)
    expect(await json('[0]', '[0.05]', { absolute: 0.1 })).toBe(true)
    expect(await json('["1"]', '[1]')).toBe(false)
    expect(await json('[1,2]', '[1]')).toBe(false)
    expect(await json('{"a":1}', '{"b":1}')).toBe(false)
    expect(await json('[]', '{}')).toBe(false)
    expect(await json('[null]', '[[]]')).toBe(false)
    expect(await json('{"__proto__":1}', '{"x":1}')).toBe(false)
  })

  it('is not fooled by what is no number', async () => {
    expect(await json('[1e999]', '[5]', { relative: 0.5, absolute: 1e300 })).toBe(false)
    expect(await json('[1e999]', '[-1e999]', { relative: 0.5 })).toBe(false)
  })

  it('that is none equals nothing, not even itself', async () => {
    expect(await json('{', '{')).toBe(false)
    const deep = '['.repeat(1000) + ']'.repeat(1000)
    expect(await json(deep, deep)).toBe(false)
    const broken = Buffer.from([0x22, 0xff, 0x22])
    const same = [resultWith({ 'r.json': broken }), resultWith({ 'r.json': broken })] as const
    expect((await compareResults('json', ...same)).equal).toBe(false)
    expect(await equal('json', {}, {})).toBe(false)
    expect(await equal('json', { a: '1' }, { a: '1' })).toBe(false)
  })

  it('wants the other files to be equal, unless they do not matter', async () => {
    const a = { 'r.json': '[1]', 'log.txt': 'took 1 s' }
    const b = { 'r.json': '[1]', 'log.txt': 'took 2 s' }
    expect(await equal('json', a, b)).toBe(false)
    expect(await equal({ kind: 'json', others: 'ignore' }, a, b)).toBe(true)
    expect(await equal({ kind: 'json', files: ['/out/r.json'], others: 'ignore' }, a, b)).toBe(true)
    expect(await equal('json', a, { 'r.json': '[1]' })).toBe(false)
    expect(await equal('json', a, { ...a, 'more.json': '[1]' })).toBe(false)
  })

  it('reads nothing that is too much', async () => {
    const reads: string[] = []
    const sizes = { 'r.json': LIMITS.comparedJsonBytes + 1 }
    const large = resultWith({ 'r.json': '[1]' }, { reads, sizes })
    expect(await compareResults('json', large, large)).toMatchObject({ equal: false })
    const names = Array.from({ length: LIMITS.comparedFiles + 1 }, (_, n) => [`${n}.json`, '1'])
    const many = resultWith(Object.fromEntries(names), { reads })
    expect(await compareResults('json', many, many)).toMatchObject({ equal: false })
    const other = resultWith(
      { 'r.json': '[1]', more: '' },
      { reads, sizes: { more: LIMITS.comparedFileBytes + 1 } },
    )
    expect(await compareResults('json', other, other)).toMatchObject({ equal: false })
    expect(reads).toEqual([])
  })
})

describe('a function', () => {
  const [a, b] = [
    resultWith({ a: '1' }, { host: 'first' }),
    resultWith({ a: '2' }, { host: 'second' }),
  ]

  it('decides', async () => {
    expect((await compareResults(() => true, a, b)).equal).toBe(true)
    expect((await compareResults(async () => false, a, b)).equal).toBe(false)
    const first = async (x: typeof a, y: typeof a) =>
      (await x.outputs.read('a')).length === (await y.outputs.read('a')).length
    expect((await compareResults(first, a, b)).equal).toBe(true)
  })

  it.each<[string, Comparator]>([
    ['is not symmetric', (one) => one.host === 'first'],
    [
      'throws',
      () => {
        throw new RangeError('no such frame')
      },
    ],
    ['rejects', () => Promise.reject(new RangeError('no such frame'))],
    ['returns no boolean', (() => 1) as never],
    ['returns nothing', (() => undefined) as never],
  ])('that %s is the mistake of its author', async (_, compare) => {
    await expect(compareResults(compare, a, b)).rejects.toMatchObject({
      code: 'COMPARE_INVALID',
      blame: 'caller',
      details: { task: '17', hosts: ['first', 'second'] },
    })
  })
})
