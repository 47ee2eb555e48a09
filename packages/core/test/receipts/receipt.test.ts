import {
  type AttemptEnd,
  type AttemptSpec,
  attemptEndSchema,
  attemptSpecOf,
  checkReceipt,
  decodeDocument,
  encodeDocument,
  inputsDigest,
  type Receipt,
  receiptKey,
  receiptOf,
  signReceipt,
  specDigest,
  verifyReceipt,
} from '@manyhands/core'
import { describe, expect, it } from 'vitest'
import { client, digest, host, sealed, someEnd, spec, subject } from './attempt-ends.ts'

const invalid = (field?: string) =>
  expect.objectContaining({
    code: 'RECEIPT_INVALID',
    blame: 'host',
    ...(field === undefined ? {} : { details: expect.objectContaining({ field }) }),
  })

/** A receipt that its own host signed, with one field that is not so. */
function forged(field: keyof Receipt, value: unknown): AttemptEnd {
  const end = sealed()
  const { signature: _, ...receipt } = end.receipt!
  const changed = { ...receipt, [field]: value } as Receipt
  if (value === undefined) delete changed[field]
  return { ...end, receipt: signReceipt(changed, receiptKey(host.seed)) }
}

describe('a receipt', () => {
  it('counts for the end that it was made for, also after a journey', () => {
    const end = sealed()
    checkReceipt(subject, 'completed', end)
    const arrived = decodeDocument(attemptEndSchema, encodeDocument(end), 'end')
    checkReceipt(subject, 'completed', arrived)
    const kept = JSON.parse(JSON.stringify(arrived.receipt))
    expect(verifyReceipt(kept)).toMatchObject({ host: host.peerId, task: '17', epoch: 2 })
  })

  it('is needed', () => {
    expect(() => checkReceipt(subject, 'completed', someEnd())).toThrow(invalid())
  })

  it.each<[keyof Receipt, unknown]>([
    ['client', host.peerId],
    ['host', client.peerId],
    ['job', 'job-2'],
    ['task', '18'],
    ['attempt', 'f00d.1'],
    ['epoch', 1],
    ['nonce', 'ffeeddccbbaa99887766554433221100'],
    ['spec', digest('c')],
    ['image', digest('c')],
    ['image', undefined],
    ['inputs', digest('c')],
    ['outputs', digest('c')],
    ['outputs', undefined],
    ['phase', 'failed'],
    ['exitCode', 1],
    ['exitCode', undefined],
    ['signal', 'SIGKILL'],
    ['limits', ['memory']],
    ['error', 'TASK_FAILED'],
    ['stdout', digest('c')],
    ['stderr', digest('c')],
    ['durationMs', 1],
    ['usage', { ...sealed().usage, cpuMs: 1 }],
  ])('does not count with another %s, though it is signed', (field, value) => {
    expect(() => checkReceipt(subject, 'completed', forged(field, value))).toThrow(invalid(field))
  })

  it.each<[string, Partial<typeof subject>]>([
    ['task', { task: '16' }],
    ['epoch', { attempt: 'f00d.3' }],
    ['job', { job: 'job-3' }],
    ['client', { client: host.peerId }],
    ['host', { host: client.peerId }],
    ['offer', { nonce: '0'.repeat(32) }],
    ['spec', { spec: { ...spec, command: ['render', '18'] } }],
    ['inputs', { spec: { ...spec, inputs: [] } }],
  ])('does not count for another %s', (_, other) => {
    expect(() => checkReceipt({ ...subject, ...other }, 'completed', sealed())).toThrow(invalid())
  })

  it.each<[string, Partial<AttemptEnd>]>([
    ['outputs', { outputs: { root: digest('d'), bytes: 300 } }],
    ['exitCode', { exitCode: 1 }],
    ['limits', { oom: true }],
    ['limits', { timedOut: true }],
    ['stdout', { stdoutTail: new Uint8Array([1]) }],
    ['usage', { usage: { ...sealed().usage, netOut: 9 } }],
  ])('does not count for an end with other %s', (field, other) => {
    const { receipt } = sealed()
    const end = { ...someEnd(other), receipt }
    expect(() => checkReceipt(subject, 'completed', end)).toThrow(invalid(field))
  })

  it('does not count with a signature of somebody else, or of nobody', () => {
    const { receipt, ...end } = sealed()
    const { signature, ...claims } = receipt!
    const other = signReceipt(claims, receiptKey(client.seed))
    expect(() => checkReceipt(subject, 'completed', { ...end, receipt: other })).toThrow(invalid())
    const none = { ...claims, signature: '0'.repeat(signature.length) }
    expect(() => checkReceipt(subject, 'completed', { ...end, receipt: none })).toThrow(invalid())
    const nobody = { ...claims, host: 'nobody', signature }
    expect(() => verifyReceipt(nobody)).toThrow(invalid())
    expect(() => verifyReceipt({ ...receipt, remark: 'unsigned' })).toThrow(invalid())
    expect(() => verifyReceipt(undefined)).toThrow(invalid())
  })

  it('says which limits were hit', () => {
    const end = sealed({ oom: true, timedOut: true, exitCode: 137 }, 'failed')
    checkReceipt(subject, 'failed', end)
    expect(end.receipt).toMatchObject({ limits: ['memory', 'time'], phase: 'failed' })
  })

  it('need not name an image where nothing ran', () => {
    checkReceipt(subject, 'evicted', sealed({ outputs: undefined }, 'evicted', undefined))
  })

  it('names any image where the job named it by a tag', () => {
    const tagged = { ...subject, spec: { ...spec, image: 'blender:4.2' } }
    const end = someEnd()
    for (const image of [digest('e'), undefined]) {
      const receipt = signReceipt(receiptOf(tagged, 'completed', end, image), receiptKey(host.seed))
      const check = () => checkReceipt(tagged, 'completed', { ...end, receipt })
      if (image === undefined) expect(check).toThrow(invalid('image'))
      else check()
    }
  })

  it('that is none is as good as none, and nothing else is refused for it', () => {
    const bytes = encodeDocument({ ...sealed(), receipt: { v: 2, anything: 'else' } })
    const end = decodeDocument(attemptEndSchema, bytes, 'end')
    expect(end.receipt).toBeUndefined()
    expect(end.exitCode).toBe(0)
  })

  it('costs no signature where a field is wrong already', () => {
    const end = forged('task', '18')
    end.receipt!.signature = 'not even hexadecimal'
    expect(() => checkReceipt(subject, 'completed', end)).toThrow(invalid('task'))
  })
})

describe('what is hashed', () => {
  it('is every field that decides what runs', () => {
    const changes: Partial<AttemptSpec>[] = [
      { runtime: 'wasm' },
      { image: digest('9') },
      { command: ['render', '18'] },
      { command: undefined, args: ['17'] },
      { env: {} },
      { outputs: ['/out/a'] },
      { resources: { ...spec.resources, cpus: 7 } },
      { timeoutMs: 1 },
      { networkProfile: { egress: ['example.org:443'] } },
      { gpu: { model: 'any' } },
      { secrets: ['token'] },
      { warm: { tasksPerSandbox: 5 } },
      { warm: { tasksPerSandbox: 5, setup: ['load'] } },
    ]
    const digests = changes.map((change) => specDigest({ ...spec, ...change }))
    expect(new Set([specDigest(spec), ...digests]).size).toBe(changes.length + 1)
  })

  it('is nothing that changes no result, or that nobody knows', () => {
    const later = { ...spec, streamOutputs: false, offeredImage: { name: 'x', bytes: 1 }, more: 1 }
    expect(specDigest(later)).toBe(specDigest(spec))
    expect(specDigest({ ...spec, inputs: [] })).toBe(specDigest(spec))
  })

  it('is the inputs by path, without what is said of their sizes', () => {
    const [scene, textures] = spec.inputs
    const { path, root } = scene!
    expect(inputsDigest([textures!, { path, root }])).toBe(inputsDigest(spec.inputs))
    expect(inputsDigest([{ path, root: digest('3') }, textures!])).not.toBe(
      inputsDigest(spec.inputs),
    )
    expect(inputsDigest([{ path: '/in/other', root }, textures!])).not.toBe(
      inputsDigest(spec.inputs),
    )
  })

  it('is the spec as an attempt has it', () => {
    expect(attemptSpecOf(spec, {})).toBe(spec)
    expect(attemptSpecOf(spec, { args: ['1'] })).toMatchObject({ command: undefined, args: ['1'] })
    expect(specDigest(attemptSpecOf(spec, { command: ['render', '17'] }))).toBe(specDigest(spec))
  })
})
