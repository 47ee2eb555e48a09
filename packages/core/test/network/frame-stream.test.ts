import type { Stream } from '@libp2p/interface'
import { streamPair } from '@libp2p/utils'
import { expect, test } from 'vitest'
import { LIMITS } from '../../src/limits.ts'
import { headerOf } from '../../src/network/frame-assembler.ts'
import { FRAME_COST, FRAME_KIND } from '../../src/network/frame-kind.ts'
import { createFrameStream } from '../../src/network/frame-stream.ts'

const MIB = 1024 ** 2

async function framedPair() {
  const [outbound, inbound] = await streamPair()
  const near = createFrameStream(outbound, { peer: 'near', inbound: false })
  const far = createFrameStream(inbound, { peer: 'far', inbound: true })
  return { near, far, outbound, inbound }
}

/** A frame stream whose other end is a bare stream that the test writes to. */
async function rawPair(options: { headerMs?: number } = {}) {
  const [raw, stream] = await streamPair()
  const frames = createFrameStream(stream, { peer: 'raw', inbound: true, ...options })
  return { raw, frames, stream }
}

const header = (kind: number, count: number): Uint8Array => headerOf(((kind << 24) | count) >>> 0)

const closeOf = (stream: Stream): Promise<void> =>
  new Promise((resolve) => {
    if (stream.status !== 'open') resolve()
    else stream.addEventListener('close', () => resolve(), { once: true })
  })

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => ({ code: 'none' }),
    (reason) => reason,
  )
  return (error as { code: string }).code
}

test('frames arrive whole, in order and with their sizes, both ways', async () => {
  const { near, far } = await framedPair()
  const sizes = [0, 1, 3, 65_536, MIB, 7, 0, 300_000]
  const sending = (async () => {
    for (const [index, size] of sizes.entries()) await near.send(new Uint8Array(size).fill(index))
    await near.close()
  })()
  const got: [number, number | undefined][] = []
  for await (const frame of far) got.push([frame.length, frame.at(-1)])
  await sending
  expect(got).toEqual(sizes.map((size, index) => [size, size === 0 ? undefined : index]))
  // The other direction is still open.
  await far.send(Uint8Array.of(42))
  await far.close()
  expect(await near.next()).toEqual(Uint8Array.of(42))
  expect(await near.next()).toBeUndefined()
})

test('both streams are closed when both directions ended', async () => {
  const { near, far, outbound, inbound } = await framedPair()
  await Promise.all([near.close(), far.close()])
  await Promise.all([closeOf(outbound), closeOf(inbound)])
  expect([outbound.status, inbound.status]).toEqual(['closed', 'closed'])
  expect(await near.next()).toBeUndefined()
})

test('a frame beyond the limit is refused before it is sent', async () => {
  const { near } = await framedPair()
  expect(await codeOf(near.send(new Uint8Array(LIMITS.streamFrameBytes + 1)))).toBe(
    'FRAME_TOO_LARGE',
  )
})

test('sending blocks when the reader has taken nothing of a full window, and goes on when it does', async () => {
  const { near, far } = await framedPair()
  const frame = new Uint8Array(MIB)
  let sent = 0
  const sending = (async () => {
    for (; sent < 32; sent++) await near.send(frame)
  })()
  await far.next()
  await new Promise((resolve) => setTimeout(resolve, 100))
  const inWindow = Math.floor(LIMITS.streamCreditBytes / (MIB + FRAME_COST))
  expect(sent).toBeLessThanOrEqual(inWindow + 1)
  for (let taken = 1; taken < 32; taken++) expect((await far.next())?.length).toBe(MIB)
  await sending
  expect(sent).toBe(32)
})

test('frames that nobody awaits are bounded', async () => {
  const { near } = await framedPair()
  const sends = Array.from({ length: 40 }, () => codeOf(near.send(new Uint8Array(MIB))))
  near.abort()
  expect(await Promise.all(sends)).toContain('LIMIT')
})

test('an announced frame beyond the limit ends the stream before its body', async () => {
  const { raw, frames } = await rawPair()
  const next = codeOf(frames.next())
  raw.send(header(FRAME_KIND.data, LIMITS.streamFrameBytes + 1))
  expect(await next).toBe('FRAME_TOO_LARGE')
  await closeOf(raw)
})

test('a peer that sends beyond its credit is cut off', async () => {
  const { raw, frames } = await rawPair()
  const body = new Uint8Array(MIB)
  for (let index = 0; index < 9; index++) {
    if (raw.status === 'open') raw.send(header(FRAME_KIND.data, MIB))
    if (raw.status === 'open') raw.send(body)
  }
  await closeOf(raw)
  expect(await codeOf(frames.next())).toBe('PROTOCOL')
})

test('empty frames use up credit too', async () => {
  const { raw, frames } = await rawPair()
  const many = Math.floor(LIMITS.streamCreditBytes / FRAME_COST) + 1
  raw.send(new Uint8Array(many * 4))
  await closeOf(raw)
  expect(await codeOf(frames.next())).toBe('PROTOCOL')
})

test('a peer that grants credit which was never used is cut off', async () => {
  const { raw, frames } = await rawPair()
  raw.send(header(FRAME_KIND.credit, 1))
  await closeOf(raw)
  expect(await codeOf(frames.send(new Uint8Array(1)))).toBe('PROTOCOL')
})

test('an unknown kind of frame ends the stream', async () => {
  const { raw, frames } = await rawPair()
  const next = codeOf(frames.next())
  raw.send(Uint8Array.of(0xff, 1, 2, 3))
  expect(await next).toBe('PROTOCOL')
})

test('an inbound stream without a first frame is ended', async () => {
  const { raw, frames } = await rawPair({ headerMs: 20 })
  expect(await codeOf(frames.next())).toBe('TIMEOUT')
  await closeOf(raw)
})

test('after a cut, what came whole is still read, then PEER_GONE', async () => {
  const { near, far, outbound } = await framedPair()
  await near.send(Uint8Array.of(1))
  await near.send(Uint8Array.of(2))
  expect(await far.next()).toEqual(Uint8Array.of(1))
  outbound.abort(new Error('cut'))
  expect(await far.next()).toEqual(Uint8Array.of(2))
  expect(await codeOf(far.next())).toBe('PEER_GONE')
  expect(await codeOf(far.send(Uint8Array.of(3)))).toBe('PEER_GONE')
})

test('a stream that ends without its end frame counts as cut', async () => {
  const { raw, frames } = await rawPair()
  const next = codeOf(frames.next())
  await raw.close()
  expect(await next).toBe('PEER_GONE')
})

test('headers and bodies may come in any pieces', async () => {
  const { raw, frames } = await rawPair()
  const bytes = [...header(FRAME_KIND.data, 3), 7, 8, 9, ...header(FRAME_KIND.end, 0)]
  for (const byte of bytes) raw.send(Uint8Array.of(byte))
  expect(await frames.next()).toEqual(Uint8Array.of(7, 8, 9))
  expect(await frames.next()).toBeUndefined()
})

test('abort ends a blocked send and a waiting reader with its reason', async () => {
  const { near, far } = await framedPair()
  const reason = new Error('enough')
  const next = expect(near.next()).rejects.toBe(reason)
  const sends = Promise.allSettled(Array.from({ length: 12 }, () => near.send(new Uint8Array(MIB))))
  near.abort(reason)
  await next
  expect((await sends).at(-1)).toEqual({ status: 'rejected', reason })
  await expect(
    (async () => {
      for await (const _ of far);
    })(),
  ).rejects.toMatchObject({ code: 'PEER_GONE' })
})

test('a stream that ended before anyone listened counts as cut', async () => {
  const [raw, stream] = await streamPair()
  raw.abort(new Error('cut'))
  await closeOf(stream)
  const frames = createFrameStream(stream, { peer: 'raw', inbound: true })
  expect(await codeOf(frames.next())).toBe('PEER_GONE')
  expect(await codeOf(frames.send(Uint8Array.of(1)))).toBe('PEER_GONE')
})
