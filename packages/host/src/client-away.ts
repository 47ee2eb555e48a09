import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { type ErrorCode, type Network, toManyhandsError } from '@manyhands/core'

/** Failures of the way to a client. */
const UNHEARD: ReadonlySet<ErrorCode> = new Set(['CONNECT_FAILED', 'PEER_GONE', 'TIMEOUT'])
/** Tries in a row with a client that is there. */
const TRIES = 4
/** Between them, ms; also how often it is looked whether a client is back that nobody told of. */
const PAUSE_MS = 500

/**
 * Does something that needs a client. While that is away it is waited for, as the work goes on without it
 * until the attempt is ended: what was begun is taken up when it is back.
 *
 * @param work - is told how to say that it gets on
 * @throws what the work throws, when that is not about the way to the client or when the client is there
 *   and it fails again and again; the signal's reason
 */
export async function whenClientIsThere<Result>(
  { network, peer, signal }: { network: Network; peer: string; signal: AbortSignal },
  work: (getsOn: () => void) => Promise<Result>,
): Promise<Result> {
  let tries = 0
  const getsOn = () => {
    tries = 0
  }
  for (;;) {
    try {
      return await work(getsOn)
    } catch (cause) {
      signal.throwIfAborted()
      if (!UNHEARD.has(toManyhandsError(cause).code)) throw cause
      const there = network.isConnected(peer)
      tries += 1
      if (there && tries >= TRIES) throw cause
      await (there ? pause(signal) : untilConnected(network, peer, signal))
      if (!there) tries = 0
    }
  }
}

async function pause(signal: AbortSignal): Promise<void> {
  await delay(PAUSE_MS, undefined, { signal, ref: false }).catch(() => {})
  signal.throwIfAborted()
}

async function untilConnected(network: Network, peer: string, signal: AbortSignal): Promise<void> {
  const found = new AbortController()
  const waiting = AbortSignal.any([signal, found.signal])
  try {
    while (!network.isConnected(peer)) {
      const comes = once(network, 'peer:connect', { signal: waiting }).catch(() => {})
      await Promise.race([comes, pause(signal)])
    }
  } finally {
    found.abort()
  }
}
