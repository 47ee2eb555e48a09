import { NO_USAGE, type SignedReceipt } from '@manyhands/core'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { storedReceipt, wholeReceipt } from '../src/stored-receipt.ts'

const digest = (letter: string) => `sha256:${letter.repeat(64)}`
const result = {
  job: 'job',
  key: 'key',
  host: '12D3KooWhost',
  phase: 'completed' as const,
  exitCode: 0,
  signal: undefined,
  durationMs: 18,
  usage: { ...NO_USAGE, elapsedMs: 19 },
}
const receipt: SignedReceipt = {
  v: 1,
  job: 'job',
  host: '12D3KooWhost',
  spec: digest('a'),
  task: 'key',
  epoch: 3,
  image: digest('b'),
  nonce: '0'.repeat(32),
  phase: 'completed',
  usage: { ...result.usage },
  client: '12D3KooWclient',
  inputs: digest('c'),
  limits: [],
  stderr: digest('d'),
  stdout: digest('e'),
  attempt: 'f00d.3',
  outputs: digest('f'),
  exitCode: 0,
  durationMs: 18,
  signature: '1'.repeat(128),
}
const batch = { at: 1, size: 2, path: 'ab'.repeat(32) }
const through = (of: SignedReceipt) =>
  wholeReceipt(result, JSON.parse(JSON.stringify(storedReceipt(result, of))))

test('a receipt comes out as it went in', () => {
  expect(through(receipt)).toStrictEqual(receipt)
  expect(through({ ...receipt, batch })).toStrictEqual({ ...receipt, batch })
})

test('also one that says something else than its result, in any field', () => {
  const values = [undefined, 7, 'other', digest('9'), ['memory'], { ...NO_USAGE, cpu: 5, gpu: 1 }]
  fc.assert(
    fc.property(
      fc.constantFrom(...(Object.keys(receipt) as (keyof SignedReceipt)[])),
      fc.constantFrom(...values),
      (field, value) => {
        // The epoch follows from its attempt, and no version but one can be stored.
        if (field === 'attempt' || field === 'v') return
        const other = { ...receipt, error: 'TASK_FAILED', [field]: value } as SignedReceipt
        if (value === undefined) delete other[field]
        expect(through(other)).toStrictEqual(other)
      },
    ),
  )
})

test('what its result says is not said twice', () => {
  const stored = storedReceipt(result, { ...receipt, batch })
  const fields = ['spec', 'image', 'nonce', 'client', 'inputs', 'stderr', 'stdout', 'attempt']
  expect(Object.keys(stored).sort()).toEqual([...fields, 'outputs', 'signature', 'batch'].sort())
})

test('a whole one, as earlier versions stored it, is left as it is', () => {
  expect(wholeReceipt(result, receipt)).toStrictEqual(receipt)
  const batched = { ...receipt, batch }
  const error = { code: 'TASK_FAILED', message: 'no', hint: '', blame: 'task' } as const
  expect(wholeReceipt({ ...result, error }, batched)).toStrictEqual(batched)
})
