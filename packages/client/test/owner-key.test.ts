import { deflateRawSync } from 'node:zlib'
import { createIdentity, LIMITS } from '@manyhands/core'
import { expect, it } from 'vitest'
import { type OwnerKey, readOwnerKey, writeOwnerKey } from '../src/owner-key.ts'

const base = {
  runtime: 'docker',
  image: 'any',
  env: {},
  inputs: [],
  outputs: ['/out/**'],
  resources: { cpus: 1, memoryBytes: 1, diskBytes: 1, gpus: 0, pids: 1 },
  timeoutMs: 0,
  networkProfile: 'none',
}
const key: OwnerKey = {
  v: 1,
  job: {
    ...{ id: 'job-1', name: 'frames', specHash: 'x', phase: 'running', sourceDone: true },
    submittedAt: '2026-01-01T00:00:00.000Z',
    spent: { bytesUp: 0, bytesDown: 1, durationMs: 2 },
  },
  document: JSON.stringify({ v: 1, base }),
  ownership: {
    ...{ seed: '0'.repeat(64), nonceKey: 'f'.repeat(64), epoch: 3 },
    owners: [[3, createIdentity().peerId]],
  },
  hosts: [{ addresses: ['/ip4/127.0.0.1/tcp/1'] }],
  rows: {
    tasks: [
      ['0', 'a', '1', null, 'queued', 0, 0, 0, null, 0, 1, null, null, null, null].map(
        (value, n) => (n === 0 ? 0 : value),
      ),
    ],
    needs: [],
    inputs: [['sha256:x', null]],
    split_items: [],
  },
}

it('is one text that says the same again', () => {
  const text = writeOwnerKey(key)
  expect(text).toMatch(/^mhjob1\.[A-Za-z0-9_-]+$/)
  expect(readOwnerKey(`${text}\n`)).toEqual(key)
})

it('is not taken when it is cut off, changed or something else', () => {
  const text = writeOwnerKey(key)
  const bad: unknown[] = [
    { ...key, v: 2 },
    { ...key, document: JSON.stringify({ base: { ...base, inputs: 'all' } }) },
    { ...key, document: 'no JSON' },
    { ...key, ownership: { ...key.ownership, epoch: 1000 } },
    { ...key, ownership: { ...key.ownership, seed: 'short' } },
    { ...key, rows: { ...key.rows, tasks: [['too', 'few']] } },
    { ...key, job: { ...key.job, id: '../../x' } },
  ]
  const texts = [
    ...bad.map((one) => writeOwnerKey(one as OwnerKey)),
    ...['', 'mh1abc', 'mhjob1.', 'mhjob1.!!!!', text.slice(0, -20), `${text.slice(0, 30)}AAAA`],
  ]
  for (const one of texts) {
    expect(() => readOwnerKey(one), one.slice(0, 40)).toThrow(
      expect.objectContaining({ code: 'SPEC_INVALID' }),
    )
  }
})

it('is refused before it is unpacked when it is too long, and not unpacked beyond a limit', () => {
  const long = `mhjob1.${'A'.repeat(LIMITS.ownerKeyBytes)}`
  expect(() => readOwnerKey(long)).toThrow('it is too long')
  // Zeros shrink to a thousandth.
  const zeros = deflateRawSync(Buffer.alloc(4 * LIMITS.ownerKeyBytes + 1))
  expect(() => readOwnerKey(`mhjob1.${zeros.toString('base64url')}`)).toThrow(
    expect.objectContaining({ cause: expect.objectContaining({ code: 'ERR_BUFFER_TOO_LARGE' }) }),
  )
  const large = { ...key, document: '0'.repeat(5 * LIMITS.ownerKeyBytes) }
  expect(() => writeOwnerKey(large)).toThrow(expect.objectContaining({ code: 'LIMIT' }))
})
