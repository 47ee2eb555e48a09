import { attemptEventSchema, decodeEvents, encodeDocument, LIMITS } from '@manyhands/core'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isPlainEvent } from '../../src/wire/attempt-events.ts'

const digest = `sha256:${'a'.repeat(64)}`
const usage = {
  elapsedMs: 1500,
  cpu: 0.5,
  cpuMs: 1400,
  memory: 1,
  memoryPeak: 2,
  pids: 1,
  disk: 0,
  netIn: 0,
  netOut: 0,
}
const end = {
  exitCode: 0,
  oom: false,
  timedOut: false,
  durationMs: 1500,
  usage,
  stdoutTail: new Uint8Array(3),
  stderrTail: new Uint8Array(),
  outputs: { root: digest, bytes: 300 },
  proof: {
    image: digest,
    at: 1,
    size: 2,
    path: new Uint8Array(32),
    signature: new Uint8Array(64),
  },
}
const event = {
  attempt: 'f00d.1',
  seq: 4,
  phase: 'completed',
  usage,
  stdout: new Uint8Array(3),
  stdoutAt: 0,
  stderrAt: 0,
  end,
}

test('an end with its proof is plain, and what the schema would take', () => {
  expect(isPlainEvent(event)).toBe(true)
  expect(attemptEventSchema.parse(event)).toEqual(event)
  expect(decodeEvents(encodeDocument([event]))).toEqual([event])
})

const odd = fc.oneof(
  fc.constantFrom<unknown>(undefined, null, -1, 1.5, Number.NaN, '', 'x'.repeat(200), true, [], {}),
  fc.constantFrom<unknown>(2 ** 60, new Uint8Array(65), new Uint8Array(LIMITS.outputTailBytes + 1)),
  fc.constantFrom<unknown>('evicted', 'nothing', digest, Number.POSITIVE_INFINITY, 257),
)

/** Every path to a field of it, and one to a field that nobody knows. */
function pathsIn(value: object): string[][] {
  const own = Object.entries(value).flatMap(([key, field]) =>
    typeof field === 'object' && !(field instanceof Uint8Array)
      ? [[key], ...pathsIn(field).map((path) => [key, ...path])]
      : [[key]],
  )
  return [...own, ['unknown']]
}

test('what is plain is what the schema takes and leaves as it is', () => {
  fc.assert(
    fc.property(fc.constantFrom(...pathsIn(event)), odd, (path, value) => {
      const changed = structuredClone(event) as unknown as Record<string, unknown>
      let place = changed
      for (const key of path.slice(0, -1)) place = place[key] as Record<string, unknown>
      if (value === undefined) delete place[path.at(-1)!]
      else place[path.at(-1)!] = value
      if (!isPlainEvent(changed)) return
      expect(attemptEventSchema.parse(changed)).toEqual(changed)
    }),
    { numRuns: 2000 },
  )
})

test.each([
  ['a refusal', { ...event, phase: 'evicted', end: { ...end, by: 'host', reason: 'mine' } }],
  ['news of inputs', { attempt: 'a.1', seq: 1, phase: 'staging', usage: { ...usage, gpu: 1 } }],
])('what is not plain is read with the schema: %s', (_, other) => {
  expect(isPlainEvent(other)).toBe(false)
  expect(decodeEvents(encodeDocument([event, other]))).toEqual([event, other])
})

test.each([
  ['no list', event],
  ['more than may be', Array.from({ length: LIMITS.attemptsPerClient + 1 }, () => 1)],
  ['a list of something else', [{ attempt: 'a.1' }]],
  ['a negative number', [{ ...event, seq: -1 }]],
])('%s is PROTOCOL', (_, frame) => {
  expect(() => decodeEvents(encodeDocument(frame))).toThrow(
    expect.objectContaining({ code: 'PROTOCOL' }),
  )
})
