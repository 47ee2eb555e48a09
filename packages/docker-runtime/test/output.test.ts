import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { finished } from 'node:stream/promises'
import { BoundedOutput } from '@manyhands/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { OutputDemultiplexer } from '../src/output-demultiplexer.ts'
import { PacedReading } from '../src/paced-reading.ts'

async function textOf(output: BoundedOutput) {
  const text = { stdout: '', stderr: '', order: '' }
  for await (const chunk of output.read()) {
    text[chunk.stream] += Buffer.from(chunk.bytes).toString()
    text.order += chunk.stream === 'stdout' ? 'o' : 'e'
  }
  return text
}

describe('bounded output', () => {
  it('gives what was written, in the order of writing', async () => {
    const output = new BoundedOutput(10_000)
    for (const [stream, text] of [
      ['stdout', 'a'],
      ['stderr', 'b'],
      ['stdout', 'c'],
    ] as const) {
      output.push(stream, Buffer.from(text))
    }
    output.close()
    expect(await textOf(output)).toEqual({ stdout: 'ac', stderr: 'b', order: 'oeo' })
  })

  it('loses the middle, not the beginning or the end, and never grows beyond its limit', async () => {
    const output = new BoundedOutput(64 * 1024)
    output.push('stdout', Buffer.from('BEGIN'))
    for (let index = 0; index < 1000; index += 1) output.push('stdout', Buffer.alloc(1000, 'x'))
    output.push('stderr', Buffer.from('a word'))
    output.push('stdout', Buffer.from('END'))
    output.close()
    const { stdout, stderr } = await textOf(output)
    expect(stdout.startsWith('BEGIN')).toBe(true)
    expect(stdout.endsWith('END')).toBe(true)
    expect(stdout.length).toBeLessThanOrEqual(64 * 1024)
    expect(stdout.length).toBeGreaterThan(32 * 1024)
    expect(stderr).toBe('a word')
  })

  it('bounds a flood of single bytes as well', async () => {
    const output = new BoundedOutput(64 * 1024)
    for (let index = 0; index < 10_000; index += 1) output.push('stdout', Buffer.from('x'))
    output.close()
    const { order } = await textOf(output)
    expect(order.length).toBeLessThanOrEqual((64 * 1024) / 256)
  })

  it('gives everything to a reader that keeps up', async () => {
    const output = new BoundedOutput(4096)
    const reading = textOf(output)
    let written = ''
    for (let index = 0; index < 200; index += 1) {
      const text = `${index} `.repeat(100)
      written += text
      output.push('stdout', Buffer.from(text))
      await new Promise((resolve) => setImmediate(resolve))
    }
    output.close()
    expect((await reading).stdout).toBe(written)
  })
})

describe('the demultiplexer', () => {
  it('takes frames apart wherever the transport cuts them', () => {
    const frame = fc.record({
      type: fc.constantFrom(1, 2),
      payload: fc.uint8Array({ maxLength: 50 }),
    })
    fc.assert(
      fc.property(fc.array(frame), fc.array(fc.integer({ min: 1, max: 20 })), (frames, cuts) => {
        const wire = Buffer.concat(
          frames.map(({ type, payload }) => {
            const header = Buffer.from([type, 0, 0, 0, 0, 0, 0, 0])
            header.writeUInt32BE(payload.length, 4)
            return Buffer.concat([header, payload])
          }),
        )
        const seen = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] }
        const demultiplexer = new OutputDemultiplexer((stream, bytes) => seen[stream].push(bytes))
        let at = 0
        for (const cut of [...cuts, wire.length]) {
          demultiplexer.push(wire.subarray(at, at + cut))
          at += cut
        }
        for (const [name, type] of [
          ['stdout', 1],
          ['stderr', 2],
        ] as const) {
          const sent = frames.filter((one) => one.type === type).map((one) => one.payload)
          expect(Buffer.concat(seen[name])).toEqual(Buffer.concat(sent))
        }
      }),
    )
  })

  it('hands on together what came together, as long as the stream is the same', () => {
    const frame = (type: number, text: string) => {
      const header = Buffer.from([type, 0, 0, 0, 0, 0, 0, text.length])
      return Buffer.concat([header, Buffer.from(text)])
    }
    const seen: string[] = []
    const demultiplexer = new OutputDemultiplexer((stream, bytes) =>
      seen.push(`${stream} ${Buffer.from(bytes)}`),
    )
    const wire = Buffer.concat([
      ...['a', 'bc', 'def'].map((text) => frame(1, text)),
      ...['x', '', 'y'].map((text) => frame(2, text)),
      frame(1, 'z'),
    ])
    expect(demultiplexer.push(wire)).toBe(7)
    expect(seen).toEqual(['stdout abcdef', 'stderr xy', 'stdout z'])
  })
})

describe('paced reading', () => {
  const flood = () => {
    const stream = new PassThrough({ highWaterMark: 8 * 1024 ** 2 })
    const seen = { bytes: 0, rests: 0 }
    stream.on('pause', () => {
      seen.rests += 1
    })
    const reading = new PacedReading(stream, (bytes) => {
      seen.bytes += bytes.length
      return 1
    })
    for (let index = 0; index < 96; index += 1) stream.write(Buffer.alloc(64 * 1024))
    return { stream, seen, reading }
  }

  it('lets a flood wait, and loses nothing of it', async () => {
    const { stream, seen } = flood()
    stream.end()
    await finished(stream)
    expect(seen.rests).toBeGreaterThan(0)
    expect(seen.bytes).toBe(96 * 64 * 1024)
  })

  it('lets many frames wait as well, however small they are', async () => {
    const stream = new PassThrough()
    let rests = 0
    stream.on('pause', () => {
      rests += 1
    })
    new PacedReading(stream, () => 1000)
    stream.end(Buffer.alloc(1000))
    await finished(stream)
    expect(rests).toBe(1)
  })

  it('has all of it when the task has ended', async () => {
    const { stream, seen, reading } = flood()
    await once(stream, 'pause')
    const before = seen.rests
    stream.end()
    await reading.rest()
    expect(seen.rests).toBe(before)
    expect(seen.bytes).toBe(96 * 64 * 1024)
  })
})
