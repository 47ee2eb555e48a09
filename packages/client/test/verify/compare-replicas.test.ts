import type { Comparator, TaskResult } from '@manyhands/core'
import { expect, it } from 'vitest'
import { openAgreement, withResult } from '../../src/verify/agreement.ts'
import { compareReplicas } from '../../src/verify/compare-replicas.ts'
import { resultWith } from './results.ts'

/** What becomes of results of independent hosts, given one after the other. */
function settle(comparator: Comparator, results: TaskResult[], wanted = 2) {
  let agreement = openAgreement(wanted)
  for (const n of results.keys()) {
    const host = { peer: `host-${n}`, addresses: [`10.0.${n}.1`] }
    agreement = withResult(agreement, { id: `${n}`, host })
  }
  return compareReplicas(agreement, comparator, (id) => results[Number(id)]!)
}

const energy = (value: number) => resultWith({ 'e.json': `{"energy":${value}}` })

it('accepts the result in the middle of those that are within the tolerances', async () => {
  const json = { kind: 'json' as const, relative: 0.1 }
  const { step, agreement } = await settle(json, [energy(100), energy(106), energy(103)], 3)
  expect(step).toMatchObject({ step: 'accept', accepted: '2', wrong: [] })
  expect(JSON.parse(JSON.stringify(agreement))).toEqual(agreement)
})

it('asks one more when two differ, and compares only what is new', async () => {
  const first = await settle('json', [energy(1), energy(2)])
  expect(first.step).toEqual({ step: 'ask', count: 1 })
  const asked: string[] = []
  const host = { peer: 'third', addresses: ['10.1.0.1'] }
  const third = withResult(first.agreement, { id: 'third', host })
  const { step } = await compareReplicas(third, 'json', (id) => {
    asked.push(id)
    return energy(id === '0' ? 1 : 2)
  })
  expect(step).toMatchObject({ accepted: '1', wrong: ['0'] })
  expect(asked).toEqual(['0', 'third', '1', 'third'])
})

it('finds nobody in the right where nothing can be read', async () => {
  const broken = resultWith({ 'e.json': 'no JSON' })
  const { step } = await settle('json', [broken, broken, broken, broken, broken])
  expect(step.step).toBe('disputed')
})

it('tells of a function that depends on the order', async () => {
  const earlier: Comparator = (a, b) => (a.host ?? '') < (b.host ?? '')
  const results = ['a', 'b'].map((host) => resultWith({ a: '1' }, { host }))
  await expect(settle(earlier, results)).rejects.toMatchObject({
    code: 'COMPARE_INVALID',
    details: { task: '17', hosts: ['a', 'b'] },
  })
})
