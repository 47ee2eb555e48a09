import { expect, it } from 'vitest'
import { type HostOrigin, independent } from '../../src/verify/independence.ts'

const at = (peer: string, ...addresses: string[]): HostOrigin => ({ peer, addresses })

it.each<[string, HostOrigin, HostOrigin, boolean]>([
  ['two strangers', at('a', '192.0.2.1'), at('b', '198.51.100.1'), true],
  ['the same peer', at('a', '192.0.2.1'), at('a', '198.51.100.1'), false],
  ['one /24', at('a', '192.0.2.1'), at('b', '192.0.2.254'), false],
  ['two /24 side by side', at('a', '192.0.2.1'), at('b', '192.0.3.1'), true],
  [
    'any of several addresses',
    at('a', '10.0.0.1', '192.0.2.1'),
    at('b', '192.0.2.9', '::1'),
    false,
  ],
  ['multiaddrs', at('a', '/ip4/192.0.2.1/tcp/4001'), at('b', '/ip4/192.0.2.7/tcp/1/ws'), false],
  ['one /48', at('a', '2001:db8:1:a::1'), at('b', '/ip6/2001:db8:1:b::2/tcp/1'), false],
  ['two /48', at('a', '2001:db8:1::1'), at('b', '2001:db8:2::1'), true],
  ['a mapped address', at('a', '::ffff:192.0.2.1'), at('b', '192.0.2.2'), false],
  ['a mapped address elsewhere', at('a', '::ffff:192.0.2.1'), at('b', '192.0.3.2'), true],
  ['two kinds of addresses', at('a', '192.0.2.1'), at('b', '2001:db8::1'), true],
  ['no address', at('a'), at('b', '192.0.2.1'), false],
  ['a name alone', at('a', '/dns4/example.org/tcp/1'), at('b', '192.0.2.1'), false],
  ['no address at all', at('a'), at('b'), false],
])('%s', (_, a, b, expected) => {
  expect(independent(a, b)).toBe(expected)
  expect(independent(b, a)).toBe(expected)
})

it('who was invited by the same, or invited the other, is not independent', () => {
  const a = { ...at('a', '192.0.2.1'), inviter: 'owner' }
  const b = { ...at('b', '198.51.100.1'), inviter: 'owner' }
  expect(independent(a, b)).toBe(false)
  expect(independent(a, { ...b, inviter: 'another' })).toBe(true)
  expect(independent(a, { ...b, inviter: 'a' })).toBe(false)
  expect(independent({ ...a, inviter: 'b' }, at('b', '198.51.100.1'))).toBe(false)
})
