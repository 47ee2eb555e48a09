import { setTimeout as delay } from 'node:timers/promises'
import { ManyhandsError } from '@manyhands/core'
import type Docker from 'dockerode'
import type { Engine } from './engine.ts'
import { engineStatus } from './engine-error.ts'

/** A wait request can hang for ever when its engine dies; inspecting is what finds that out. */
const POLL_MS = 5000
const POLL_TIMEOUT_MS = 15_000
const RETRY_MS = 500

/** How the watch over a container ended. */
export interface WatchedExit {
  /** The container as the engine tells it after its end; undefined when there is none any more. */
  found: Docker.ContainerInspectInfo | undefined
  /** The engine did not answer for too long; whether the container still runs is unknown. */
  lost: boolean
  /** The engine was away when the container ended: a restart may have ended it. */
  interrupted: boolean
}

/**
 * Watches a started container until it no longer runs. A closed connection is not an end: the engine
 * is asked again until it answers or `lostAfterMs` have passed. Inspecting is the truth.
 *
 * @param signal - ends the watch: it rejects with the signal's reason
 */
export async function watchExit(
  engine: Engine,
  container: Docker.Container,
  options: { lostAfterMs: number; signal: AbortSignal },
): Promise<WatchedExit> {
  let silentSince: number | undefined
  let interrupted = false
  while (true) {
    const round = new AbortController()
    const stop = () => round.abort(options.signal.reason)
    options.signal.addEventListener('abort', stop, { once: true })
    try {
      options.signal.throwIfAborted()
      if (interrupted) {
        if (!(await engine.isServing())) throw notServing()
        const again = await inspect(engine, container)
        silentSince = undefined
        if (!again.State.Running) return { found: again, lost: false, interrupted }
        // It outlived whatever happened to the engine, so its end will be its own.
        interrupted = false
      }
      const polling = pollUntilEnded(engine, container, round.signal, () => {
        silentSince = undefined
      })
      const waiting = waitUntilStopped(engine, container, round.signal)
      const first = await Promise.race([waiting, polling])
      // An engine that is shutting down answers every wait, whatever the container does; by then it takes
      // no connections any more.
      const [found, serving] = await Promise.all([
        first ?? inspect(engine, container),
        engine.isServing(),
      ])
      if (!found.State.Running) {
        if (serving) return { found, lost: false, interrupted }
        throw notServing()
      }
    } catch (error) {
      options.signal.throwIfAborted()
      if (engineStatus(error) === 404) return { found: undefined, lost: false, interrupted }
      interrupted ||= engineStatus(error) === undefined
      silentSince ??= performance.now()
      if (performance.now() - silentSince > options.lostAfterMs) {
        return { found: undefined, lost: true, interrupted: true }
      }
    } finally {
      options.signal.removeEventListener('abort', stop)
      round.abort()
    }
    await delay(RETRY_MS, undefined, { signal: options.signal, ref: false })
  }
}

/**
 * The engine answers a wait with its headers at once and with the body at the end. The client
 * library's own wait never settles when the connection breaks between the two.
 */
async function waitUntilStopped(
  engine: Engine,
  container: Docker.Container,
  signal: AbortSignal,
): Promise<undefined> {
  const answer = Promise.withResolvers<AsyncIterable<Uint8Array>>()
  engine.docker.modem.dial(
    {
      path: `/containers/${container.id}/wait?condition=not-running&`,
      method: 'POST',
      isStream: true,
      abortSignal: signal,
      statusCodes: { 200: true, 404: 'no such container', 500: 'server error' },
    },
    (error, response) => {
      if (error) answer.reject(error)
      else answer.resolve(response as AsyncIterable<Uint8Array>)
    },
  )
  for await (const _ of await answer.promise) {
    // The code in it is not needed: inspecting tells more.
  }
}

async function pollUntilEnded(
  engine: Engine,
  container: Docker.Container,
  signal: AbortSignal,
  onAnswer: () => void,
): Promise<Docker.ContainerInspectInfo> {
  while (true) {
    await delay(POLL_MS, undefined, { signal, ref: false })
    const found = await inspect(engine, container)
    onAnswer()
    if (!found.State.Running) return found
  }
}

function inspect(engine: Engine, container: Docker.Container) {
  return container.inspect({ abortSignal: engine.deadline(POLL_TIMEOUT_MS) })
}

function notServing(): ManyhandsError {
  return new ManyhandsError('RUNTIME_UNAVAILABLE', 'the engine is shutting down')
}
