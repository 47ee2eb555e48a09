import type { FrameStream, Network, Offer } from '@manyhands/core'
import { afterEach, expect, it } from 'vitest'
import { endOf } from '../src/attempt-end.ts'
import { AttemptRegistry } from '../src/attempt-registry.ts'
import { ClientRelations } from '../src/client-relations.ts'
import { runningAttempt } from './attempt-for-tests.ts'

let connected = true
const relations = new ClientRelations({
  network: { isConnected: () => connected } as unknown as Network,
  attempts: new AttemptRegistry(),
  orphanMs: 1000,
  offer: () => ({}) as Offer,
  jobForgotten: () => {},
})

afterEach(() => {
  connected = true
})

/** An attempt that was evicted before its client had opened the stream of its job. */
function evicted(client: string) {
  const attempt = runningAttempt(`attempt of ${client}`, { client })
  attempt.move('evicted')
  attempt.end = endOf(attempt, {})
  relations.outbox(client, attempt.job).end(attempt)
  return attempt
}

/** Whether something is over after a few turns of the loop. */
async function settled(promise: Promise<unknown>): Promise<boolean> {
  let over = false
  void promise.then(() => {
    over = true
  })
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve))
  return over
}

it('a client that is here and does not listen yet is waited for, until it has its ends', async () => {
  const attempt = evicted('early')
  const flushed = relations.flushClient('early')
  expect(await settled(flushed)).toBe(false)
  expect(await settled(relations.flush())).toBe(true)
  const closed = Promise.withResolvers<undefined>()
  const told = relations.tell('early', attempt.job, {
    send: () => {
      relations.acknowledged(attempt)
      return Promise.resolve()
    },
    next: () => closed.promise,
    close: () => Promise.resolve(),
    abort: () => closed.resolve(undefined),
  } as unknown as FrameStream)
  await flushed
  closed.resolve(undefined)
  await told
})

it('a client that is not here is not waited for', async () => {
  evicted('gone')
  connected = false
  expect(await settled(relations.flushClient('gone'))).toBe(true)
})

it('a client of which nothing is known is not waited for', async () => {
  expect(await settled(relations.flushClient('stranger'))).toBe(true)
})
