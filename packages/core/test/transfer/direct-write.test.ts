import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  alignedMemory,
  DIRECT_ALIGNMENT,
  type FileWriter,
  fileWriter,
} from '../../src/transfer/direct-write.ts'
import { scratch, seededBytes } from '../artifacts/scratch.ts'
import { connectTo, owner, testPeer } from './peers.ts'

const SIZE = 300_000
const CONTENT = seededBytes(SIZE, 1)

/** Where a piece begins and ends that is written, each in memory that lies as its place does or does not. */
const pieces = fc.array(
  fc.record({ cut: fc.integer({ min: 1, max: SIZE - 1 }), aligned: fc.boolean() }),
  { minLength: 1, maxLength: 12 },
)

function writeIn(writer: FileWriter, from: number, to: number, aligned: boolean): void {
  const start = aligned ? from % DIRECT_ALIGNMENT : 1
  const memory = alignedMemory(start + to - from).subarray(start, start + to - from)
  memory.set(CONTENT.subarray(from, to))
  writer.write(memory, from)
}

it('writes the same bytes past the page cache as through it, wherever they lie', async () => {
  const dir = await scratch()
  await fc.assert(
    fc.asyncProperty(pieces, fc.nat(), async (cuts, turn) => {
      const path = join(dir, 'file')
      await writeFile(path, '')
      const writer = fileWriter(path, true)
      const places = [0, ...cuts.map(({ cut }) => cut).sort((a, b) => a - b), SIZE]
      const order = cuts.map((_, index) => index).concat(cuts.length)
      // In another order than they lie in.
      for (const [step, index] of order.entries()) {
        const at = (index + turn) % order.length
        writeIn(writer, places[at]!, places[at + 1]!, cuts[step % cuts.length]!.aligned)
      }
      writer.close()
      expect(Buffer.compare(await readFile(path), CONTENT)).toBe(0)
    }),
    { numRuns: 60 },
  )
})

it('brings a file that is large enough for it, also after a cut', async () => {
  const origin = await owner(70 * 1024 * 1024)
  const receiver = await testPeer()
  const from = await connectTo(receiver, origin)
  const controller = new AbortController()
  const cut = receiver.store.fetch(origin.root, from, {
    signal: controller.signal,
    onProgress: (bytes) => {
      if (bytes > 20 * 1024 * 1024) controller.abort(new Error('cut'))
    },
  })
  await expect(cut).rejects.toThrow('cut')
  expect((await receiver.store.usage()).bytes).toBeLessThan(70 * 1024 * 1024)
  await receiver.store.fetch(origin.root, from)
  expect(Buffer.compare(await receiver.store.read(origin.root, ''), origin.content)).toBe(0)
}, 60_000)
