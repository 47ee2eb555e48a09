import { acceptSchema, comparatorSchema, verifySchema } from '@manyhands/core'
import { describe, expect, it } from 'vitest'

describe('the spec of verification', () => {
  it.each([
    {},
    { replicas: 2 },
    { replicas: 5, sample: 0 },
    { sample: 1, compare: 'bytes' },
    { compare: { kind: 'json', absolute: 1e-3, relative: 0, files: ['/out/r.json'] } },
    { compare: { kind: 'image', threshold: 0.016, pixels: 0.01, others: 'ignore' } },
    { compare: { kind: 'md', rmsd: 0.1, energy: 0.01, energyAbsolute: 5 } },
    { compare: () => true },
  ])('takes %j', (verify) => {
    expect(verifySchema.parse(verify)).toEqual(verify)
  })

  it.each([
    { replicas: 1 },
    { replicas: 6 },
    { replicas: 2.5 },
    { sample: 1.5 },
    { sample: -0.1 },
    { compare: 'pixels' },
    { compare: { kind: 'pixels' } },
    // Everything would be equal.
    { compare: { kind: 'json', relative: 1 } },
    { compare: { kind: 'image', pixels: 1 } },
    { compare: { kind: 'md', energy: 1 } },
    { compare: { kind: 'json', absolute: -1 } },
    { compare: { kind: 'json', absolute: Number.POSITIVE_INFINITY } },
    { compare: { kind: 'json', threshold: 0.1 } },
    { compare: { kind: 'json', files: [] } },
    { compare: { kind: 'json', others: 'skip' } },
    { replica: 2 },
  ])('does not take %j', (verify) => {
    expect(verifySchema.safeParse(verify).success).toBe(false)
  })

  it('knows when results are handed out', () => {
    for (const accept of ['provisional', 'job-end', 'quorum', 'latest']) {
      expect(acceptSchema.parse(accept)).toBe(accept)
    }
    expect(acceptSchema.safeParse('first').success).toBe(false)
  })

  it('takes a comparator alone', () => {
    expect(comparatorSchema.parse('md')).toBe('md')
    expect(comparatorSchema.safeParse(true).success).toBe(false)
  })
})
