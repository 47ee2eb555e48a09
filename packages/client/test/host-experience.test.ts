import { expect, it } from 'vitest'
import { HostExperience } from '../src/host-experience.ts'

it('learns how long tasks take and how often they end well, image by image', () => {
  const host = new HostExperience(undefined)
  expect(host.reliability).toBe(0.5)
  expect(host.usualMs('a')).toBeUndefined()
  host.ended('completed', 'a', 1000)
  host.ended('completed', 'b', 10)
  host.ended('completed', 'a', 2000)
  host.ended('lost', 'a', 0)
  expect(host.usualMs('a')).toBe(1250)
  expect(host.usualMs('b')).toBe(10)
  expect(host.reliability).toBeCloseTo(4 / 6)
  host.received(1000)
  host.received(0)
  expect(host.bytesPerSecond).toBe(1000)
})

it('remembers it from one process to the next, and passes over what it cannot read', () => {
  const host = new HostExperience(undefined)
  for (let n = 0; n < 500; n += 1) host.ended('completed', `image ${n}`, n)
  const again = new HostExperience(JSON.parse(JSON.stringify(host.document())))
  expect(again.document()).toEqual(host.document())
  expect(again.usualMs('image 499')).toBe(499)
  expect(again.usualMs('image 1')).toBeUndefined()
  // What it does now outweighs what it did long ago.
  for (let n = 0; n < 150; n += 1) again.ended('lost', 'a', 0)
  expect(again.reliability).toBeLessThan(0.5)
  for (const damaged of [null, 'x', { v: 2 }, { ...host.document(), completed: -1 }]) {
    expect(new HostExperience(damaged).completed).toBe(0)
  }
})
