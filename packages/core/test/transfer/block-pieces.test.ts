import { expect, it } from 'vitest'
import { joined } from '../../src/transfer/block-pieces.ts'
import type { ReceivePiece } from '../../src/transfer/lane-messages.ts'

function piece(file: number, position: number, ...lengths: number[]): ReceivePiece {
  const length = lengths.reduce((sum, each) => sum + each, 0)
  const hashes = Buffer.concat(lengths.map((each) => Buffer.alloc(32, each)))
  return { file, position, length, lengths, hashes, path: `/${file}` }
}

it('pieces that lie side by side are one, with the chunks of all', () => {
  const [whole, ...rest] = joined([piece(0, 100, 1, 2), piece(0, 103, 3), piece(0, 106, 4)])
  expect(rest).toEqual([])
  expect(whole).toEqual({ ...piece(0, 100, 1, 2, 3, 4), hashes: whole!.hashes })
  expect(Buffer.from(whole!.hashes)).toEqual(piece(0, 0, 1, 2, 3, 4).hashes)
})

it('pieces of other files, and with something between them, are their own', () => {
  const apart = [piece(0, 0, 4), piece(0, 5, 4), piece(1, 9, 4), piece(1, 0, 4)]
  expect(joined(apart)).toEqual(apart)
  expect(joined([])).toEqual([])
})
