import type { Socket } from 'node:net'

/**
 * The kernel repeats the first packet of a connection after 1, 3 and 7 s. On a way that loses packets, or
 * that was cut and is back, another first packet finds it sooner; ms.
 */
const AGAIN_MS = 250
/** So often it is as quick as that; then once a second: whoever does not answer is not there. */
const QUICK_TRIES = 10
const SLOW_MS = 1000
/** Sockets that wait for an answer beside the first. Each has a second or more, far more than a way takes. */
const BESIDE = 4

/**
 * Connects, and again beside that as long as there is no answer: the first that is answered counts. The
 * first try lasts until the end, so that a way may be as long as the dial may last.
 *
 * @param connect - one try, which ends with its signal
 */
export function eagerly(
  connect: (signal: AbortSignal) => Promise<Socket>,
  signal: AbortSignal,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const tries: AbortController[] = []
    let begun = 0
    let timer: NodeJS.Timeout | undefined
    let over = false
    const end = (settle: () => void): void => {
      if (over) return
      over = true
      clearTimeout(timer)
      signal.removeEventListener('abort', aborted)
      settle()
      for (const one of tries) one.abort()
    }
    const aborted = (): void => end(() => reject(signal.reason))
    const begin = (): void => {
      const one = new AbortController()
      tries.push(one)
      begun += 1
      connect(one.signal).then(
        (socket) => {
          // Not to be ended with those that were in vain.
          tries.splice(tries.indexOf(one), 1)
          if (over) socket.destroy()
          else end(() => resolve(socket))
        },
        (error) => {
          // One that was given up for the next. What was answered with a no is a no.
          if (!one.signal.aborted) end(() => reject(error))
        },
      )
      if (tries.length > BESIDE + 1) tries.splice(1, 1)[0]?.abort()
      timer = setTimeout(begin, begun < QUICK_TRIES ? AGAIN_MS : SLOW_MS).unref()
    }
    if (signal.aborted) {
      aborted()
      return
    }
    signal.addEventListener('abort', aborted, { once: true })
    begin()
  })
}
