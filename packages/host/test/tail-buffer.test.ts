import fc from 'fast-check'
import { expect, it } from 'vitest'
import { TailBuffer } from '../src/tail-buffer.ts'

it('keeps exactly the last bytes of whatever was pushed', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), (chunks) => {
      const tail = new TailBuffer(32)
      for (const chunk of chunks) tail.push(chunk)
      const all = Buffer.concat(chunks)
      expect(Buffer.from(tail.bytes())).toEqual(all.subarray(Math.max(0, all.length - 32)))
    }),
  )
})
