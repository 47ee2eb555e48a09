import { isIPv6 } from 'node:net'
import type { MultiaddrConnection } from '@libp2p/interface'
import { directHost } from '../bulk-route.ts'

/**
 * What counts as one address: an IPv4 address, or the /64 of an IPv6 one, which is what one household or
 * one machine has. Undefined where a relay stands between, whose address is not the peer's.
 */
export function addressKey(
  connection: Pick<MultiaddrConnection, 'remoteAddr'>,
): string | undefined {
  const host = directHost(connection)
  if (host === undefined || !isIPv6(host)) return host
  const words = wordsOf(host)
  // An IPv4 address on a socket for both.
  if (words.slice(0, 6).join() === '0,0,0,0,0,65535') {
    return words
      .slice(6)
      .flatMap((word) => [word >> 8, word & 255])
      .join('.')
  }
  return `${words
    .slice(0, 4)
    .map((word) => word.toString(16))
    .join(':')}::/64`
}

/** The eight words of an IPv6 address. */
function wordsOf(host: string): number[] {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(host.split('%')[0]!)
  const [, front = '', a, b, c, d] = dotted ?? []
  const hex = (high: unknown, low: unknown): string =>
    (Number(high) * 256 + Number(low)).toString(16)
  const text = dotted === null ? host.split('%')[0]! : `${front}${hex(a, b)}:${hex(c, d)}`
  const [before = '', after] = text.split('::')
  const words = before === '' ? [] : before.split(':')
  const rest = after === undefined || after === '' ? [] : after.split(':')
  const zeros = Array<string>(Math.max(0, 8 - words.length - rest.length)).fill('0')
  return [...words, ...zeros, ...rest].map((word) => Number.parseInt(word, 16))
}
