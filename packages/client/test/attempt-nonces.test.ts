import { createHmac, hkdfSync, randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { AttemptNonces } from '../src/attempt-nonces.ts'

test('a nonce is the first half of an HMAC-SHA256 under a key of its own', () => {
  const seed = randomBytes(32)
  const key = new Uint8Array(hkdfSync('sha256', seed, '', 'manyhands/nonce/1', 32))
  const expected = createHmac('sha256', key).update('a host\0an attempt.1').digest('hex')
  expect(new AttemptNonces(seed).of('a host', 'an attempt.1')).toBe(expected.slice(0, 32))
})

test('each attempt at each host has another one', () => {
  const nonces = new AttemptNonces(randomBytes(32))
  const of = [nonces.of('a', 'x.1'), nonces.of('a', 'x.2'), nonces.of('b', 'x.1')]
  expect(new Set(of).size).toBe(3)
})
