import { decode, decodeApng, encode } from 'fast-png'
import { describe, expect, it } from 'vitest'
import { joinFrames } from '../animation.ts'
import { contactSheet } from '../contact-sheet.ts'

const WIDTH = 6
const HEIGHT = 4

/** A picture whose every byte depends on where it is and on the frame. */
function picture(frame: number, channels = 3): Uint8Array {
  const data = Uint8Array.from(
    { length: WIDTH * HEIGHT * channels },
    (_, index) => (index * 37 + frame * 71 + ((index * index) % 13)) % 256,
  )
  return encode({ width: WIDTH, height: HEIGHT, data, channels, depth: 8 })
}

describe('an animation', () => {
  it.each([3, 4])('holds every frame of %i channels as it was, looping for ever', (channels) => {
    const frames = [0, 1, 2].map((frame) => picture(frame, channels))
    const animation = joinFrames(frames, 12)
    const decoded = decodeApng(animation)
    expect(decoded.numberOfFrames).toBe(3)
    expect(decoded.numberOfPlays).toBe(0)
    for (const [index, frame] of decoded.frames.entries()) {
      expect(frame.data).toEqual(decode(frames[index]!).data)
      expect([frame.delayNumber, frame.delayDenominator]).toEqual([1, 12])
    }
  })

  it('shows its first frame in a program that knows no animation', () => {
    const frames = [picture(0), picture(1)]
    expect(decode(joinFrames(frames, 12)).data).toEqual(decode(frames[0]!).data)
  })

  it('refuses frames of different sizes', () => {
    const small = encode({ width: 1, height: 1, data: new Uint8Array(3), channels: 3 })
    expect(() => joinFrames([picture(0), small], 12)).toThrow('frame 2')
  })
})

describe('a contact sheet', () => {
  it('has every frame in its place', () => {
    const frames = [0, 1, 2].map((frame) => picture(frame))
    const sheet = decode(contactSheet(frames, { columns: 2, shrink: 1, gap: 1 }))
    expect([sheet.width, sheet.height]).toEqual([2 * (WIDTH + 1) + 1, 2 * (HEIGHT + 1) + 1])
    const third = decode(frames[2]!)
    const at = 3 * ((1 + HEIGHT + 1) * sheet.width + 1)
    expect(sheet.data.slice(at, at + 3 * WIDTH)).toEqual(third.data.slice(0, 3 * WIDTH))
  })

  it('shrinks frames by averaging', () => {
    const data = Uint8Array.of(0, 0, 0, 100, 100, 100, 50, 50, 50, 50, 50, 50)
    const frame = encode({ width: 2, height: 2, data, channels: 3 })
    const sheet = decode(contactSheet([frame], { columns: 1, shrink: 2, gap: 0 }))
    expect([...sheet.data]).toEqual([50, 50, 50])
  })
})
