import { streamPair } from '@libp2p/utils'
import { expect, test } from 'vitest'
import { TokenBucket } from '../../../src/artifacts/token-bucket.ts'
import { Circuit, type CircuitOptions } from '../../../src/network/reach/circuit.ts'
import { eventually } from '../eventually.ts'

const KIB = 1024

async function joined(options: Partial<CircuitOptions> = {}) {
  const [left, leftEnd] = await streamPair()
  const [rightEnd, right] = await streamPair({ capacity: 64 * KIB })
  const counted = { bytes: 0, ended: 0 }
  const circuit = new Circuit([leftEnd, rightEnd], {
    bytes: undefined,
    lifeMs: 60_000,
    bucket: new TokenBucket(Number.POSITIVE_INFINITY, 0),
    onBytes: (bytes) => {
      counted.bytes += bytes
    },
    onEnd: () => {
      counted.ended += 1
    },
    ...options,
  })
  return { left, right, leftEnd, circuit, counted }
}

test('what comes in at one end leaves at the other, in both directions, up to the end', async () => {
  const { left, right, counted } = await joined()
  const heard: string[] = []
  right.addEventListener('message', ({ data }) =>
    heard.push(Buffer.from(data.subarray()).toString()),
  )
  left.addEventListener('message', ({ data }) =>
    heard.push(Buffer.from(data.subarray()).toString()),
  )
  left.send(Buffer.from('there'))
  await eventually('it is there', () => heard.includes('there'))
  right.send(Buffer.from('back'))
  await eventually('it is back', () => heard.includes('back'))
  await Promise.all([left.close(), right.close()])
  await eventually('it is over', () => counted.ended === 1)
  expect(counted.bytes).toBe(9)
})

test('a cut at one end is one at the other', async () => {
  const { left, right, counted } = await joined()
  left.abort(new Error('enough'))
  await eventually('the other end hears', () => right.status !== 'open')
  expect(counted.ended).toBe(1)
})

test('more than it may carry ends it', async () => {
  const { left, right } = await joined({ bytes: 10 * KIB })
  right.addEventListener('message', () => {})
  left.send(new Uint8Array(11 * KIB))
  await eventually('both are cut', () => left.status !== 'open' && right.status !== 'open')
})

test('beyond the rate nothing is read until there is room', async () => {
  const spent: number[] = []
  let waitMs = 60_000
  const bucket = {
    spend: (bytes: number) => void spent.push(bytes),
    waitMs: () => waitMs,
  } as unknown as TokenBucket
  const { left, right, leftEnd } = await joined({ bucket })
  right.addEventListener('message', () => {})
  left.send(new Uint8Array(KIB))
  await eventually('it stands still', () => leftEnd.readStatus === 'paused')
  expect(spent).toEqual([KIB])
  waitMs = 0
})
