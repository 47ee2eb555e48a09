import { expect, it } from 'vitest'
import { EventLog } from '../src/event-log.ts'

interface Numbered {
  seq: number
  missed?: number
}

const log = (events: number, bytes = 1000) =>
  new EventLog<Numbered>({ events, bytes, bytesOf: () => 10 }, (seq, missed) => ({ seq, missed }))

it('can be followed from any point, to its end', async () => {
  const events = log(10)
  events.append((seq) => ({ seq }))
  events.append((seq) => ({ seq }))
  const reading = Array.fromAsync(events.read(1))
  events.append((seq) => ({ seq }))
  events.end()
  expect(await reading).toEqual([{ seq: 2 }, { seq: 3 }])
})

it('forgets the oldest and tells a late reader how many it missed', async () => {
  const events = log(20)
  for (let n = 0; n < 21; n += 1) events.append((seq) => ({ seq }))
  events.end()
  const read = await Array.fromAsync(events.read(0))
  expect(read[0]).toEqual({ seq: 10, missed: 10 })
  expect(read).toHaveLength(12)
  expect(read.at(-1)).toEqual({ seq: 21 })
})

it('forgets by bytes too', async () => {
  const events = log(1000, 100)
  for (let n = 0; n < 500; n += 1) events.append((seq) => ({ seq }))
  events.end()
  const read = await Array.fromAsync(events.read(0))
  expect(read.length).toBeLessThanOrEqual(11)
  expect(read.at(-1)).toEqual({ seq: 500 })
})

it('stops waiting when its reader gives up', async () => {
  const stop = new AbortController()
  const reading = Array.fromAsync(log(10).read(0, stop.signal))
  stop.abort(new Error('enough'))
  await expect(reading).rejects.toThrow('enough')
})

it('tells news that is no history to those that have read everything, only the newest', async () => {
  let news = 0
  const events = new EventLog<Numbered & { news?: number }>(
    { events: 10, bytes: 1000, bytesOf: () => 10 },
    (seq, missed) => ({ seq, missed }),
    (seq) => ({ seq, news }),
  )
  const renew = () => {
    news += 1
    events.renew()
  }
  events.append((seq) => ({ seq }))
  renew()
  const reading = events.read(0)
  expect((await reading.next()).value).toEqual({ seq: 1 })
  // From before it began to read: nothing new for it.
  const next = reading.next()
  renew()
  renew()
  expect((await next).value).toEqual({ seq: 1, news: 3 })
  renew()
  events.append((seq) => ({ seq }))
  expect((await reading.next()).value).toEqual({ seq: 2 })
  expect((await reading.next()).value).toEqual({ seq: 2, news: 4 })
  renew()
  events.end()
  expect((await reading.next()).done).toBe(true)
  expect(await Array.fromAsync(events.read(0))).toEqual([{ seq: 1 }, { seq: 2 }])
})
