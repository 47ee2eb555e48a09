import {
  type AttemptEvent,
  attemptEventSchema,
  decodeDocument,
  type FrameStream,
} from '@manyhands/core'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { endOf } from '../src/attempt-end.ts'
import { EventOutbox } from '../src/event-outbox.ts'
import { runningAttempt } from './attempt-for-tests.ts'

const schema = attemptEventSchema.array()
const turn = () => new Promise((resolve) => setImmediate(resolve))

/** A client that takes every frame at once. */
function listener(outbox: EventOutbox, live: Iterable<ReturnType<typeof runningAttempt>> = []) {
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
  const fed = outbox.feed(stream, live)
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
    vi.useRealTimers()
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

  it('does not wait for its turn when there is news beside it', async () => {
    const attempt = runningAttempt('a')
    const { events, text } = listener(outbox)
    say(attempt, 'first ')
    await until(() => text() === 'first ')
    say(attempt, 'last words')
    attempt.move('collecting')
    outbox.progress(attempt)
    await until(() => text() !== 'first ')
    expect(text()).toBe('first last words')
    expect(events.at(-1)?.phase).toBe('collecting')
  })

  it('is told once with a short task: phases wait a moment for its end', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    const attempt = runningAttempt('a')
    const { events, frames } = listener(outbox)
    await turn()
    outbox.progress(attempt)
    await turn()
    attempt.move('collecting')
    outbox.progress(attempt)
    vi.advanceTimersByTime(9)
    await turn()
    await turn()
    expect(frames.count).toBe(0)
    attempt.move('completed')
    attempt.end = endOf(attempt, {})
    outbox.end(attempt)
    while (events.length === 0) await turn()
    expect(events.map(({ phase }) => phase)).toEqual(['completed'])
  })

  it('of a phase is told after that moment, when its end does not come', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    const attempt = runningAttempt('a')
    const { events } = listener(outbox)
    await turn()
    outbox.progress(attempt)
    vi.advanceTimersByTime(10)
    while (events.length === 0) await turn()
    expect(events.map(({ phase }) => phase)).toEqual(['running'])
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

describe('what a slow client is told', () => {
  const file = (path: string, byte = 'a') => ({
    path,
    root: `sha256:${byte.repeat(64)}`,
    bytes: 1,
    executable: false,
  })

  /** A client that takes one frame, and the next when it is told to. */
  function slowListener(outbox: EventOutbox) {
    const ended = Promise.withResolvers<undefined>()
    const events: AttemptEvent[] = []
    let gate = Promise.withResolvers<void>()
    const stream = {
      send: async (frame: Uint8Array) => {
        events.push(...decodeDocument(schema, frame, 'events'))
        await gate.promise
      },
      next: () => ended.promise,
      close: () => Promise.resolve(),
      abort: () => {
        ended.resolve(undefined)
        gate.resolve()
      },
    } as unknown as FrameStream
    void outbox.feed(stream, [])
    const go = () => {
      gate.resolve()
      gate = Promise.withResolvers<void>()
    }
    return { events, go, stream }
  }

  it('of output is the latest, and how much is missing before it', async () => {
    const outbox = new EventOutbox()
    const attempt = runningAttempt('a')
    const { events, go } = slowListener(outbox)
    const say = (bytes: number, fill: string) => {
      const output = { stream: 'stdout', bytes: Buffer.alloc(bytes, fill) } as const
      attempt.wrote(output)
      outbox.progress(attempt, output)
    }
    say(10, 'a')
    await until(() => events.length === 1)
    expect(events[0]).toMatchObject({ stdoutAt: 0 })
    for (let index = 0; index < 100; index += 1) say(10_000, 'b')
    go()
    await until(() => events.length === 2)
    expect(events[1]!.stdout!.length).toBeLessThanOrEqual(32 * 1024)
    expect(events[1]!.stdoutAt! + events[1]!.stdout!.length).toBe(1_000_010)
    go()
    outbox.close()
  })

  it('counts what was lost before it came to the host', async () => {
    const outbox = new EventOutbox()
    const attempt = runningAttempt('a')
    const { events, go } = slowListener(outbox)
    const say = (text: string, gap?: number) => {
      const output = { stream: 'stderr', bytes: Buffer.from(text), gap } as const
      attempt.wrote(output)
      outbox.progress(attempt, output)
    }
    say('first')
    await until(() => events.length === 1)
    say('waits')
    say('last', 1000)
    go()
    await until(() => events.length === 2)
    expect(Buffer.from(events[1]!.stderr!).toString()).toBe('last')
    expect(events[1]!.stderrAt).toBe('firstwaits'.length + 1000)
    attempt.end = endOf(attempt, {})
    attempt.move('collecting')
    attempt.move('completed')
    outbox.end(attempt)
    go()
    await until(() => events.length === 3)
    expect(events[2]).toMatchObject({ stdoutAt: 0, stderrAt: 'firstwaitslast'.length + 1000 })
    outbox.close()
  })

  it('of files is the latest of each path, in events of bounded size, and all again after a cut', async () => {
    const outbox = new EventOutbox()
    const attempt = runningAttempt('a')
    const { events, go, stream } = slowListener(outbox)
    const add = (path: string, byte?: string) => {
      attempt.streamed.add(file(path, byte))
      outbox.output(attempt, file(path, byte))
    }
    add('0')
    await until(() => events.length === 1)
    for (let index = 0; index < 300; index += 1) add(`${index}`, 'b')
    for (let round = 0; round < 3; round += 1) {
      go()
      await until(() => events.length >= 2 + round)
    }
    const told = events.slice(1).map(({ outputs }) => outputs!)
    expect(told.map(({ length }) => length)).toEqual([128, 128, 44])
    expect(new Set(told.flat().map(({ path }) => path)).size).toBe(300)
    expect(told.flat().every(({ root }) => root.endsWith('b'))).toBe(true)
    stream.abort()
    const again = listener(outbox, [attempt])
    await until(() => again.events.flatMap(({ outputs = [] }) => outputs).length === 300)
    outbox.close()
  })
})
