import { describe, expect, it } from 'vitest'
import { AdmissionLedger, resolveShare } from '../src/admission-ledger.ts'
import { gpusOf, lentGpus } from '../src/gpu-shelf.ts'

const GIB = 1024 ** 3
const SMALL = { id: 'gpu-s', model: 'Tesla T4', memoryBytes: 16 * GIB }
const LARGE = { id: 'gpu-l', model: 'NVIDIA RTX 4090', memoryBytes: 24 * GIB }
const HUGE = { id: 'gpu-h', model: 'NVIDIA RTX 4090 D', memoryBytes: 48 * GIB }
const ALL = [LARGE, SMALL, HUGE]
const answer = (gpus: typeof ALL, available = true) => ({ available, attributes: {}, gpus })

describe('GPUs that are lent', () => {
  it.each([
    [undefined, []],
    [0, []],
    [2, ['gpu-l', 'gpu-s']],
    [9, ['gpu-l', 'gpu-s', 'gpu-h']],
    ['all' as const, ['gpu-l', 'gpu-s', 'gpu-h']],
    [['gpu-h', 'gpu-none'], ['gpu-h']],
  ])('%j', (share, ids) => {
    expect(lentGpus(share, ALL).map(({ id }) => id)).toEqual(ids)
  })

  it('are counted once, whoever answers for them, and not while their engine is away', () => {
    expect(gpusOf([answer([SMALL]), answer([SMALL, LARGE]), answer([HUGE], false)])).toEqual([
      SMALL,
      LARGE,
    ])
  })

  it('are none where no driver answers, whatever is asked for', () => {
    expect(resolveShare({ gpus: 4 }, lentGpus(4, []))).toMatchObject({ gpus: 0 })
  })
})

describe('a ledger with GPUs', () => {
  const none = { cpus: 0, memoryBytes: 0, diskBytes: 0, pids: 0 }
  const want = (gpus: number) => ({ ...none, gpus })
  const open = () => new AdmissionLedger(resolveShare({}, ALL), ALL)

  it('gives each one to one holder, the smallest that fits first', () => {
    const ledger = open()
    expect(ledger.reserve('a', want(1))).toBeUndefined()
    expect(ledger.reserve('b', want(1), { need: { model: 'rtx' } })).toBeUndefined()
    expect(ledger.gpuIdsOf('a')).toEqual(['gpu-s'])
    expect(ledger.gpuIdsOf('b')).toEqual(['gpu-l'])
    expect(ledger.reserve('c', want(2))).toBe('gpus')
    expect(ledger.reserve('c', want(1), { need: { memoryBytes: 64 * GIB } })).toBe('gpus')
    expect(ledger.reserve('c', want(1), { within: new Set(['gpu-l']) })).toBe('gpus')
    expect(ledger.free.gpus).toBe(1)
    ledger.release('b')
    expect(ledger.reserve('c', want(2))).toBeUndefined()
    expect([...ledger.gpuIdsOf('c')].toSorted()).toEqual(['gpu-h', 'gpu-l'])
  })

  it('takes back what a sealed end does not need, and keeps what an adopted attempt has', () => {
    const ledger = open()
    ledger.restore('old', want(2), ['gpu-s', 'gpu-h'])
    expect(ledger.freeGpus({})).toEqual([LARGE])
    ledger.change('old', want(0))
    expect(ledger.gpuIdsOf('old')).toEqual([])
    expect(ledger.freeGpus({})).toHaveLength(3)
  })

  it('does not give what is not lent any more', () => {
    const ledger = open()
    ledger.reserve('a', want(1))
    ledger.resize(resolveShare({}, [LARGE]), [LARGE])
    expect(ledger.gpuIdsOf('a')).toEqual(['gpu-s'])
    ledger.release('a')
    expect(ledger.freeGpus({})).toEqual([LARGE])
  })
})
