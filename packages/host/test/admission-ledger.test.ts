import { addResources, type Resources } from '@manyhands/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AdmissionLedger } from '../src/admission-ledger.ts'

const GIB = 1024 ** 3
const share: Resources = {
  cpus: 4,
  memoryBytes: 8 * GIB,
  diskBytes: 10 * GIB,
  gpus: 1,
  pids: 1000,
}
const GPUS = [{ id: 'gpu-0', model: 'any', memoryBytes: GIB }]
const none: Resources = { cpus: 0, memoryBytes: 0, diskBytes: 0, gpus: 0, pids: 0 }

describe('AdmissionLedger', () => {
  it('reserves all of it or nothing, and names what is short', () => {
    const ledger = new AdmissionLedger(share, GPUS)
    expect(ledger.reserve('a', { ...none, cpus: 3, memoryBytes: GIB })).toBeUndefined()
    expect(ledger.reserve('b', { ...none, cpus: 2, memoryBytes: GIB })).toBe('cpus')
    expect(ledger.free).toEqual({ ...share, cpus: 1, memoryBytes: 7 * GIB })
    ledger.release('a')
    ledger.release('a')
    expect(ledger.free).toEqual(share)
  })

  it('changes a reservation only within the share', () => {
    const ledger = new AdmissionLedger(share, GPUS)
    ledger.reserve('a', { ...none, cpus: 2 })
    ledger.reserve('b', { ...none, cpus: 1 })
    expect(ledger.change('a', { ...none, cpus: 4 })).toBe('cpus')
    expect(ledger.change('a', { ...none, cpus: 3 })).toBeUndefined()
    expect(ledger.free.cpus).toBe(0)
  })

  it('gives nothing of what is promised beyond a smaller share, and less is always possible', () => {
    const ledger = new AdmissionLedger(share, GPUS)
    ledger.reserve('a', { ...none, cpus: 3, memoryBytes: GIB })
    ledger.resize({ ...share, cpus: 2 })
    expect(ledger.free).toEqual({ ...share, cpus: 0, memoryBytes: 7 * GIB })
    expect(ledger.reserve('b', { ...none, cpus: 1 })).toBe('cpus')
    // Memory is there, and a limit of it may change although there are too few cores.
    expect(ledger.reserve('c', { ...none, memoryBytes: GIB })).toBeUndefined()
    expect(ledger.change('a', { ...none, cpus: 3, memoryBytes: 2 * GIB })).toBeUndefined()
    expect(ledger.change('a', { ...none, cpus: 3.5 })).toBe('cpus')
    expect(ledger.change('a', { ...none, cpus: 1 })).toBeUndefined()
    expect(ledger.reserve('b', { ...none, cpus: 1 })).toBeUndefined()
  })

  it('takes over what runs already, also beyond the share', () => {
    const ledger = new AdmissionLedger(share, GPUS)
    ledger.restore('a', { ...none, cpus: 6 })
    expect(ledger.reserve('b', { ...none, cpus: 1 })).toBe('cpus')
    ledger.release('a')
    expect(ledger.free).toEqual(share)
  })

  it('never promises more than the share, whatever the order of calls', () => {
    const amounts = fc.record({
      cpus: fc.integer({ min: 0, max: 40 }).map((tenths) => tenths / 10),
      memoryBytes: fc.integer({ min: 0, max: 9 * GIB }),
    })
    const id = fc.integer({ min: 0, max: 12 }).map(String)
    const call = fc.oneof(
      fc.record({ kind: fc.constant('reserve' as const), id, amounts }),
      fc.record({ kind: fc.constant('change' as const), id, amounts }),
      fc.record({ kind: fc.constant('release' as const), id, amounts }),
      fc.record({ kind: fc.constant('resize' as const), id, amounts }),
    )
    fc.assert(
      fc.property(fc.array(call, { maxLength: 200 }), (calls) => {
        let lent = share
        const ledger = new AdmissionLedger(lent)
        const held = new Map<string, Resources>()
        const sum = () => [...held.values()].reduce((all, one) => addResources(all, one), none)
        for (const { kind, id, amounts } of calls) {
          const wanted = { ...none, ...amounts }
          const before = sum()
          if (kind === 'resize') {
            lent = { ...share, ...amounts }
            ledger.resize(lent)
          } else if (kind === 'release') {
            ledger.release(id)
            held.delete(id)
          } else if (kind === 'change') {
            if (ledger.change(id, wanted) === undefined && held.has(id)) held.set(id, wanted)
          } else if (ledger.reserve(id, wanted) === undefined && !held.has(id)) {
            held.set(id, wanted)
          }
          const after = sum()
          expect(ledger.share).toEqual(lent)
          expect(ledger.reserved.cpus).toBeCloseTo(after.cpus, 2)
          expect(ledger.reserved.memoryBytes).toBe(after.memoryBytes)
          // Within the share, or not a bit more than before it was made smaller.
          expect(after.cpus).toBeLessThanOrEqual(Math.max(lent.cpus, before.cpus) + 0.001)
          expect(after.memoryBytes).toBeLessThanOrEqual(
            Math.max(lent.memoryBytes, before.memoryBytes),
          )
          expect(ledger.free.cpus).toBeCloseTo(Math.max(0, lent.cpus - after.cpus), 2)
          expect(ledger.free.memoryBytes).toBe(Math.max(0, lent.memoryBytes - after.memoryBytes))
        }
      }),
    )
  })
})
