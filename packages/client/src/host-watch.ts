import {
  type Clock,
  type Duration,
  ManyhandsError,
  type Offer,
  parseDuration,
} from '@manyhands/core'
import type { HostChange } from './client.ts'
import type { HostDirectory } from './host-directory.ts'

/** What is known of hosts, then every change of it, until the signal is aborted. */
export async function* watchHosts(
  directory: HostDirectory,
  signal: AbortSignal,
): AsyncGenerator<HostChange> {
  // One pending change per host: a slow reader sees the latest, and memory stays bounded.
  const pending = new Map<string, HostChange>()
  for (const offer of directory.offers()) pending.set(offer.peerId, { kind: 'found', offer })
  let wake: (() => void) | undefined
  const changed = (event: Event) => {
    const change = (event as CustomEvent<HostChange>).detail
    pending.set(change.kind === 'gone' ? change.peerId : change.offer.peerId, change)
    wake?.()
  }
  const stop = () => wake?.()
  directory.addEventListener('change', changed)
  signal.addEventListener('abort', stop)
  try {
    while (!signal.aborted) {
      const [next] = pending
      if (next !== undefined) {
        pending.delete(next[0])
        yield next[1]
        continue
      }
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  } finally {
    directory.removeEventListener('change', changed)
    signal.removeEventListener('abort', stop)
  }
}

export interface HostWait {
  min?: number
  where?: (offer: Offer) => boolean
  timeout?: Duration
}

/** Resolves when so many hosts are there. @throws NO_HOSTS; SPEC_INVALID when `where` throws */
export async function waitForHosts(
  { directory, clock }: { directory: HostDirectory; clock: Clock },
  { min = 1, where = () => true, timeout = '30s' }: HostWait,
  signal: AbortSignal,
): Promise<Offer[]> {
  const timeoutMs = parseDuration(timeout, 'timeout')
  signal.throwIfAborted()
  const { promise, resolve, reject } = Promise.withResolvers<Offer[]>()
  const look = (): number => {
    try {
      const found = directory.offers().filter(where)
      if (found.length >= min) resolve(found)
      return found.length
    } catch (cause) {
      const message = `where threw: ${(cause as Error)?.message}`
      reject(new ManyhandsError('SPEC_INVALID', message, { cause }))
      return 0
    }
  }
  const aborted = () => reject(signal.reason)
  const late = () => {
    const what = `${directory.offers().length} seen, ${look()} match`
    reject(new ManyhandsError('NO_HOSTS', `waited ${timeoutMs} ms for ${min} host(s): ${what}`))
  }
  // The program may have nothing else to wait for.
  const stopWaiting = clock.after(timeoutMs, late, { ref: true })
  directory.addEventListener('change', look)
  signal.addEventListener('abort', aborted, { once: true })
  try {
    look()
    return await promise
  } finally {
    stopWaiting()
    directory.removeEventListener('change', look)
    signal.removeEventListener('abort', aborted)
  }
}
