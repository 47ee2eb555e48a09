import {
  type AttemptEvent,
  attemptEventSchema,
  decodeDocument,
  type FrameStream,
} from '@manyhands/core'
import { afterEach, describe, expect, it } from 'vitest'
import { endOf } from '../src/attempt-end.ts'
import { EventOutbox } from '../src/event-outbox.ts'
import { runningAttempt } from './attempt-for-tests.ts'

const schema = attemptEventSchema.array()
const turn = () => new Promise((resolve) => setImmediate(resolve))

/** A client that takes every frame at once. */
function listener(outbox: EventOutbox) {
  const ended = Promise.withResolvers<undefined>()
  const events: AttemptEvent[] = []
  const frames = { count: 0 }
  const stream = {
    send: (frame: Uint8Array) => {
      frames.count += 1
      events.push(...decodeDocument(schema, frame, 'events'))
      return Promise.resolve()
    },
    next: () => ended.promise,
    close: () => Promise.resolve(),
    abort: () => ended.resolve(undefined),
  } as unknown as FrameStream
  const fed = outbox.feed(stream, [])
  const text = () => events.map(({ stdout }) => Buffer.from(stdout ?? []).toString()).join('')
  return { events, frames, text, fed }
}

async function until(fact: () => boolean): Promise<void> {
  for (let tries = 0; tries < 1000 && !fact(); tries += 1)
    await new Promise((resolve) => setTimeout(resolve, 5))
}

describe('what a client is told of output', () => {
  let outbox = new EventOutbox()
  afterEach(() => {
    outbox.close()
    outbox = new EventOutbox()
  })
  const say = (attempt: ReturnType<typeof runningAttempt>, text: string) => {
    const output = { stream: 'stdout', bytes: Buffer.from(text) } as const
    attempt.wrote(output)
    outbox.progress(attempt, output)
  }

  it('comes in a few frames, however many writes there were, and whole', async () => {
    const attempt = runningAttempt('a')
    const { frames, text } = listener(outbox)
    let written = ''
    for (let line = 0; line < 500; line += 1) {
      written += `${line}\n`
      say(attempt, `${line}\n`)
      await turn()
    }
    await until(() => text().length === written.length)
    expect(text()).toBe(written)
    expect(frames.count).toBeLessThan(100)
  })

  it('comes at once when there is news beside it', async () => {
    const attempt = runningAttempt('a')
    const { events, text } = listener(outbox)
    say(attempt, 'first ')
    await until(() => text() === 'first ')
    say(attempt, 'last words')
    attempt.move('collecting')
    outbox.progress(attempt)
    await turn()
    await turn()
    expect(text()).toBe('first last words')
    expect(events.at(-1)?.phase).toBe('collecting')
  })

  it('is for the stream that took over, as is every end', async () => {
    const attempt = runningAttempt('a')
    const before = listener(outbox)
    await turn()
    attempt.end = endOf(attempt, {})
    attempt.move('collecting')
    attempt.move('completed')
    // In the very turn in which the stream before has been woken, and has not looked yet.
    setImmediate(() => outbox.end(attempt))
    const after = listener(outbox)
    await until(() => after.events.length > 0)
    expect(after.events.map(({ phase }) => phase)).toEqual(['completed'])
    expect(before.events).toEqual([])
  })

  it('does not wait until there is too much of it', async () => {
    const attempt = runningAttempt('a')
    const { text } = listener(outbox)
    let length = 0
    for (let index = 0; index < 8; index += 1) {
      say(attempt, 'x'.repeat(20_000))
      length += 20_000
      await turn()
      await turn()
    }
    expect(text()).toHaveLength(length)
  })
})
