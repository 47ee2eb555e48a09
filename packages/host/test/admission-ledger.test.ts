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
const none: Resources = { cpus: 0, memoryBytes: 0, diskBytes: 0, gpus: 0, pids: 0 }

describe('AdmissionLedger', () => {
  it('reserves all of it or nothing, and names what is short', () => {
    const ledger = new AdmissionLedger(share)
    expect(ledger.reserve('a', { ...none, cpus: 3, memoryBytes: GIB })).toBeUndefined()
    expect(ledger.reserve('b', { ...none, cpus: 2, memoryBytes: GIB })).toBe('cpus')
    expect(ledger.free).toEqual({ ...share, cpus: 1, memoryBytes: 7 * GIB })
    ledger.release('a')
    ledger.release('a')
    expect(ledger.free).toEqual(share)
  })

  it('changes a reservation only within the share', () => {
    const ledger = new AdmissionLedger(share)
    ledger.reserve('a', { ...none, cpus: 2 })
    ledger.reserve('b', { ...none, cpus: 1 })
    expect(ledger.change('a', { ...none, cpus: 4 })).toBe('cpus')
    expect(ledger.change('a', { ...none, cpus: 3 })).toBeUndefined()
    expect(ledger.free.cpus).toBe(0)
  })

  it('never promises more than the share, whatever the order of calls', () => {
    const request = fc.record({
      id: fc.integer({ min: 0, max: 20 }).map(String),
      release: fc.boolean(),
      cpus: fc.integer({ min: 1, max: 40 }).map((tenths) => tenths / 10),
      memoryBytes: fc.integer({ min: 0, max: 9 * GIB }),
    })
    fc.assert(
      fc.property(fc.array(request, { maxLength: 200 }), (requests) => {
        const ledger = new AdmissionLedger(share)
        const held = new Map<string, Resources>()
        for (const { id, release, cpus, memoryBytes } of requests) {
          const wanted = { ...none, cpus, memoryBytes }
          if (release) {
            ledger.release(id)
            held.delete(id)
          } else if (ledger.reserve(id, wanted) === undefined && !held.has(id)) {
            held.set(id, wanted)
          }
          const sum = [...held.values()].reduce((all, one) => addResources(all, one), none)
          expect(sum.cpus).toBeLessThanOrEqual(share.cpus + 0.001)
          expect(sum.memoryBytes).toBeLessThanOrEqual(share.memoryBytes)
          expect(addResources(sum, ledger.free).cpus).toBeCloseTo(share.cpus, 2)
        }
      }),
    )
  })
})
