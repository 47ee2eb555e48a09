import { expect, it } from 'vitest'
import { RoundTrip } from '../src/round-trip.ts'

it('is the least of the last measurements: a busy moment does not make a host far', () => {
  const trip = new RoundTrip()
  expect(trip.ms).toBeUndefined()
  for (const ms of [3, 40, 5]) trip.add(ms)
  expect(trip.ms).toBe(3)
  for (let n = 0; n < 8; n += 1) trip.add(20)
  expect(trip.ms).toBe(20)
})
