import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'

const seconds = (ms: number): string => `${ms / 1000} s`

/** By name or code of what libp2p and the kernel throw; the first that matches counts. */
const PLAIN_WORDS: [RegExp, string][] = [
  [/ECONNREFUSED/, 'connection refused'],
  [/ECONNRESET|EPIPE|stream reset|premature|Unexpected EOF/i, 'the connection was cut'],
  [/EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL/, 'no route to the address'],
  [/ENOTFOUND|EAI_AGAIN/, 'the name is not known'],
  [/EMFILE|ENFILE/, 'too many open files'],
  [/denyDialPeer|denyOutbound|denyInbound|DialDenied|gater/, 'the peer is blocked here'],
  [/Can ?not dial self|dial self/i, 'the address is our own'],
  [/RESERVATION_REFUSED/, 'the relay has no room'],
  [/status NO_RESERVATION/, 'the peer is not at that relay'],
  [/status PERMISSION_DENIED/, 'the relay refuses one of the two'],
  [/status CONNECTION_FAILED/, 'the relay does not reach the peer, or has no room'],
  [/UnexpectedPeer|is not the expected peer/, 'another peer answers there'],
  [/NoValidAddresses|no valid addresses|no transport/i, 'no usable address'],
  [/Timeout|ETIMEDOUT|AbortError|aborted/i, `no answer within ${seconds(LIMITS.dialTimeoutMs)}`],
  [
    /UnsupportedProtocol|could not negotiate/i,
    'the peer speaks other protocols (not a manyhands peer?)',
  ],
]

/** Why something with a peer did not work, in a few plain words. */
export function plainCause(thrown: unknown): string {
  if (thrown instanceof AggregateError && thrown.errors.length > 0) {
    return [...new Set(thrown.errors.map(plainCause))].join(', ')
  }
  const {
    name = '',
    code = '',
    message = String(thrown),
  } = (thrown ?? {}) as Record<string, string>
  const text = `${name} ${code} ${message}`
  const words = PLAIN_WORDS.find(([pattern]) => pattern.test(text))?.[1]
  return words ?? (message.split('\n')[0] as string).slice(0, 200)
}

export function connectFailed(where: string, cause: unknown): ManyhandsError {
  if (cause instanceof ManyhandsError) return cause
  return new ManyhandsError('CONNECT_FAILED', `cannot connect to ${where}: ${plainCause(cause)}`, {
    cause,
  })
}

/** Why a stream could not be opened over a connection; what is not about the stream is returned as it is. */
export function streamRefused(peer: string, protocol: string, cause: unknown): unknown {
  switch ((cause as Error | undefined)?.name) {
    case 'UnsupportedProtocolError':
      return new ManyhandsError('PROTOCOL', `peer ${peer} does not speak ${protocol}`, { cause })
    case 'TooManyOutboundProtocolStreamsError':
      return new ManyhandsError('LIMIT', `too many ${protocol} streams to ${peer} are open`, {
        cause,
      })
    default:
      return cause
  }
}

export function peerGone(peer: string, what: string, cause?: unknown): ManyhandsError {
  return new ManyhandsError('PEER_GONE', `peer ${peer} is gone: ${what}`, { cause })
}

export function networkClosed(): ManyhandsError {
  return new ManyhandsError('CLOSED', 'the network was closed')
}
