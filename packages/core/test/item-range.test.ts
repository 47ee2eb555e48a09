import { describe, expect, it } from 'vitest'
import { itemRange } from '../src/item-range.ts'

describe('itemRange', () => {
  it('reads ranges, single items and steps in the order written', () => {
    expect([...itemRange('1-3,7, 10-16x3')]).toEqual([1, 2, 3, 7, 10, 13, 16])
    expect([...itemRange('-2-1')]).toEqual([-2, -1, 0, 1])
  })

  it.each(['5-1', '', 'a', '1-', '1,,2', '1-9x0', '1..3'])(
    'refuses %j and names the part',
    (text) => {
      expect(() => itemRange(text)).toThrow(expect.objectContaining({ code: 'RANGE_INVALID' }))
    },
  )

  it('costs nothing until it is read', () => {
    const range = itemRange('1-90000000')
    const [first] = range
    expect(first).toBe(1)
    expect(range.size).toBe(90_000_000)
    expect(() => itemRange('1-900000000')).toThrow(/more than/)
  })
})
