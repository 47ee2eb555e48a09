import { expect, it } from 'vitest'
import { BlockBoard } from '../../src/transfer/block-board.ts'

const piece = (file: number) => ({
  file,
  position: 0,
  length: 5,
  lengths: [5],
  hashes: new Uint8Array(32),
  path: `/nowhere/${file}`,
})

function boardOf(size: number, start: number, blocks: number[]): BlockBoard {
  const board = new BlockBoard(size, start)
  for (const block of blocks) board.add(block, [piece(block)])
  return board
}

const anything = () => true

it('looks at what is missing from its own beginning on, once around', () => {
  const board = boardOf(6, 4, [0, 2, 4, 5])
  expect([...board.missing(anything)]).toEqual([4, 5, 0, 2])
  expect([...board.missing((block) => block < 3)]).toEqual([0, 2])
  board.fly(5)
  expect([...board.missing(anything)]).toEqual([4, 0, 2])
  board.drop(5)
  expect([...board.missing(anything)]).toEqual([4, 5, 0, 2])
})

it('counts a block once, whoever is asked for it', () => {
  const board = boardOf(3, 0, [0, 1, 2])
  board.fly(1)
  board.fly(1)
  expect([board.left, board.flying]).toEqual([3, 1])
  expect(board.came(1)).toEqual([piece(1)])
  expect(board.came(1)).toBeUndefined()
  // What came and is not taken over is not over, and asked of nobody.
  board.drop(1)
  expect([...board.missing(anything)]).toEqual([0, 2])
  expect([board.left, board.flying]).toEqual([3, 1])
  board.tookOver(1)
  expect([board.left, board.flying]).toEqual([2, 0])
})

it('knows what has not come', () => {
  const board = boardOf(3, 0, [0, 2])
  board.fly(2)
  const asked: number[] = []
  expect(board.everyToCome((block) => asked.push(block) > 0)).toBe(true)
  expect(asked).toEqual([0, 2])
  expect(board.everyToCome((block) => block === 0)).toBe(false)
})
