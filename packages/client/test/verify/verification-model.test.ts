import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Conduct } from '../../../../bench/shared/simulated-host.ts'
import { SimulatedJob } from '../../../../bench/shared/simulated-job.ts'

const HONEST: Conduct = { kind: 'honest' }

/** Enough honest hosts that five independent ones are there for every task. */
const honest = (count = 6): Conduct[] => Array.from({ length: count }, () => HONEST)

const cheat: fc.Arbitrary<Conduct> = fc.record({
  kind: fc.constant('cheats' as const),
  share: fc.constantFrom(0.02, 0.2, 0.5, 1),
  from: fc.integer({ min: 0, max: 30 }),
})

const world = fc.record({
  cheats: fc.array(cheat, { maxLength: 2 }),
  tasksPerHost: fc.integer({ min: 1, max: 40 }),
  slots: fc.integer({ min: 1, max: 8 }),
  seed: fc.integer({ min: 1, max: 1e6 }),
})

describe('no wrong result is accepted', () => {
  it('where every task needs a quorum and no two cheat alike', () => {
    fc.assert(
      fc.property(world, ({ cheats, ...job }) => {
        const conducts = [...honest(), ...cheats]
        const outcome = new SimulatedJob({ ...job, conducts, everything: true }).run()
        expect(outcome.wrongAccepted).toBe(0)
        expect(outcome.disputed).toBe(0)
      }),
      { numRuns: 60 },
    )
  })

  it('where every task needs more hosts than work together', () => {
    const ring = fc.constantFrom(0.1, 0.5, 1).map((share): Conduct[] => {
      const conduct: Conduct = { kind: 'colludes', share, ring: 'ring' }
      return [conduct, conduct]
    })
    fc.assert(
      fc.property(world, ring, ({ cheats: _, ...job }, colluders) => {
        const conducts = [...honest(), ...colluders]
        const outcome = new SimulatedJob({ ...job, conducts, everything: true, replicas: 3 }).run()
        expect(outcome.wrongAccepted).toBe(0)
      }),
      { numRuns: 40 },
    )
  })

  it('of a host that was found wrong once, whenever that was', () => {
    fc.assert(
      fc.property(world, ({ cheats, ...job }) => {
        const { caught, wrongFrom } = new SimulatedJob({
          ...job,
          conducts: [...honest(), ...cheats],
        }).run()
        expect(wrongFrom.filter((host) => caught.has(host))).toEqual([])
      }),
      { numRuns: 60 },
    )
  })

  it('of a host that cheats from some moment on', () => {
    fc.assert(
      fc.property(world, fc.integer({ min: 0, max: 40 }), ({ cheats: _, ...job }, from) => {
        const conducts: Conduct[] = [...honest(), { kind: 'cheats', share: 1, from }]
        expect(new SimulatedJob({ ...job, conducts }).run().wrongAccepted).toBe(0)
      }),
      { numRuns: 60 },
    )
  })
})

describe('honest hosts', () => {
  it('are never found wrong by those who cheat each for himself, and lose nothing', () => {
    fc.assert(
      fc.property(world, ({ cheats, ...job }) => {
        const hosts = honest()
        const outcome = new SimulatedJob({ ...job, conducts: [...hosts, ...cheats] }).run()
        for (const caught of outcome.caught) {
          expect(Number(caught.replace('host-', ''))).toBeGreaterThanOrEqual(hosts.length)
        }
      }),
      { numRuns: 60 },
    )
  })

  it('whom two outvoted are cleared when both of these are found wrong', () => {
    let cleared = 0
    for (let seed = 1; seed <= 40; seed += 1) {
      const ring: Conduct = { kind: 'colludes', share: 1, ring: 'ring' }
      const { caught, wrongAccepted } = new SimulatedJob({
        conducts: [ring, ring, ...honest(4)],
        tasksPerHost: 20,
        seed,
      }).run()
      if (!caught.has('host-0') || !caught.has('host-1')) continue
      expect([...caught].sort()).toEqual(['host-0', 'host-1'])
      expect(wrongAccepted).toBe(0)
      cleared += 1
    }
    expect(cleared).toBeGreaterThan(20)
  })

  it('cost a tenth more at most, from 200 tasks on', () => {
    for (const seed of [1, 2, 3]) {
      const job = new SimulatedJob({ conducts: honest(20), tasksPerHost: 200, seed })
      expect(job.run().work).toBeLessThanOrEqual(1.1)
    }
  })
})
