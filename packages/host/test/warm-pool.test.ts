import type { AttemptSpec, Resources, RuntimeTask, WarmSandbox } from '@manyhands/core'
import { beforeEach, describe, expect, it } from 'vitest'
import { AdmissionLedger } from '../src/admission-ledger.ts'
import { Attempt } from '../src/attempt.ts'
import { WarmPool } from '../src/warm/warm-pool.ts'
import { WarmSlot } from '../src/warm/warm-slot.ts'

const SHARE: Resources = { cpus: 2, memoryBytes: 1000, diskBytes: 1000, gpus: 2, pids: 100 }
const ONE: Resources = { cpus: 1, memoryBytes: 500, diskBytes: 400, gpus: 1, pids: 50 }
const GPUS = ['a', 'b'].map((id) => ({ id, model: 'any', memoryBytes: 1 }))
const LOGGER = { debug: () => {}, warn: () => {} }

/** A sandbox that ends when it is told to. */
class Sandbox implements WarmSandbox {
  readonly outDir = '/nonexistent'
  usable = true
  closed = false
  readonly #gate = Promise.withResolvers<void>()

  run(): Promise<RuntimeTask> {
    throw new Error('nothing runs here')
  }

  async close(): Promise<void> {
    this.usable = false
    await this.#gate.promise
    this.closed = true
  }

  end(): void {
    this.#gate.resolve()
  }
}

describe('the pool of warm sandboxes', () => {
  let ledger: AdmissionLedger
  let pool: WarmPool
  let lending: boolean
  let made: number
  beforeEach(() => {
    ledger = new AdmissionLedger(SHARE, GPUS)
    lending = true
    made = 0
    pool = new WarmPool({ ledger, lending: () => lending, changed: () => {}, logger: LOGGER })
  })

  const use = (job: string, client = 'client') => ({
    client,
    job,
    spec: {
      runtime: 'scripted',
      image: 'any',
      env: {},
      inputs: [],
      outputs: [],
      resources: ONE,
      timeoutMs: 0,
      networkProfile: 'none',
      warm: { tasksPerSandbox: 3 },
    } satisfies AttemptSpec as AttemptSpec,
  })

  /** An attempt that was reserved for and is in a sandbox: the one that it claimed, or a new one. */
  function running(job: string, claimed?: WarmSlot): Attempt {
    made += 1
    const id = `task-${made}.1`
    expect(ledger.reserve(id, ONE)).toBe(undefined)
    const attempt = new Attempt({
      ...use(job),
      id,
      jobName: job,
      task: id,
      gpuIds: [...ledger.gpuIdsOf(id)],
    })
    const slot = claimed ?? new WarmSlot(attempt, new Sandbox(), '/nonexistent', LOGGER)
    slot.tasks += 1
    attempt.warm = slot
    attempt.runtimeTask = { remove: () => Promise.resolve() } as RuntimeTask
    attempt.move('staging')
    attempt.move('running')
    attempt.move('collecting')
    return attempt
  }

  /** Its end is sealed, as the desk does it: in one step the reservation goes from it to its sandbox. */
  function seal(attempt: Attempt, phase: 'completed' | 'failed' = 'completed'): WarmSlot {
    const slot = attempt.warm!
    attempt.move(phase)
    ledger.change(attempt.id, { cpus: 0, memoryBytes: 0, diskBytes: 100, gpus: 0, pids: 0 })
    pool.rest(attempt)
    return slot
  }

  const sandboxOf = (slot: WarmSlot) => slot.sandbox as Sandbox

  it('holds what a task had, but for the disk, until the next one takes it over', () => {
    const slot = seal(running('job'))
    expect(ledger.reserved).toEqual({
      cpus: 1,
      memoryBytes: 500,
      diskBytes: 100,
      gpus: 1,
      pids: 50,
    })
    expect(ledger.gpuIdsOf(slot.id)).toEqual(slot.gpuIds)
    expect(pool.held).toEqual({ ...ONE, diskBytes: 0 })
    expect(pool.claim(use('job'))).toBe(slot)
    expect(ledger.reserved).toMatchObject({ cpus: 0, gpus: 0 })
    const next = running('job', slot)
    expect(next.gpuIds).toEqual(slot.gpuIds)
    expect(pool.claim(use('job'))).toBe(undefined)
  })

  it('gives nothing to another job, another client, another sandbox or a cold task', () => {
    seal(running('job'))
    expect(pool.claim(use('other'))).toBe(undefined)
    expect(pool.claim(use('job', 'somebody'))).toBe(undefined)
    const own = use('job')
    expect(pool.claim({ ...own, spec: { ...own.spec, image: 'else' } })).toBe(undefined)
    const { warm: _, ...cold } = own.spec
    expect(pool.claim({ ...own, spec: cold })).toBe(undefined)
    // What only the task says makes no difference.
    expect(
      pool.claim({ ...own, spec: { ...own.spec, command: ['x'], timeoutMs: 5 } }),
    ).toBeDefined()
  })

  it('has the room back only when nothing of a sandbox is left, also of one that failed', async () => {
    const slot = seal(running('job'), 'failed')
    expect(slot.ending).toBe(true)
    expect(ledger.reserved.cpus).toBe(1)
    sandboxOf(slot).end()
    await slot.close()
    await Promise.resolve()
    expect(ledger.reserved).toMatchObject({ cpus: 0, memoryBytes: 0, gpus: 0, diskBytes: 100 })
    expect(pool.held.cpus).toBe(0)
  })

  it('lets one that is ending be claimed for its room; that is given once', async () => {
    const slot = seal(running('job'), 'failed')
    expect(pool.claim(use('job'))).toBe(slot)
    const next = running('job')
    sandboxOf(slot).end()
    await slot.close()
    await Promise.resolve()
    expect(ledger.of(next.id)).toEqual(ONE)
    expect(ledger.reserved.cpus).toBe(1)
  })

  it('never promises more than the share while it makes room for others', async () => {
    const slots = [seal(running('one')), seal(running('two'))]
    expect(ledger.free.cpus).toBe(0)
    const room = pool.makeRoom(1, use('three'))
    // The one that rests longest goes, and nothing is free before it is gone.
    expect(slots.map(({ ending }) => ending)).toEqual([true, false])
    expect(ledger.free.cpus).toBe(0)
    sandboxOf(slots[0]!).end()
    await room
    expect(sandboxOf(slots[0]!).closed).toBe(true)
    expect(ledger.free.cpus).toBe(1)
    expect(slots[1]!.ending).toBe(false)
    running('three')
  })

  it('ends nobody for what would not fit anyway, nor for those who claim their own', async () => {
    running('busy')
    const slot = seal(running('one'))
    const large = use('large')
    const spec = { ...large.spec, resources: { ...ONE, cpus: 2 } }
    await pool.makeRoom(1, { ...large, spec })
    await pool.makeRoom(1, use('one'))
    expect(slot.ending).toBe(false)
  })

  it('ends what has done its tasks, was limited by its owner, or may not wait', () => {
    let slot = seal(running('job'))
    for (let task = 2; task <= 3; task += 1) {
      expect(slot.ending).toBe(false)
      pool.claim(use('job'))
      slot = seal(running('job', slot))
    }
    expect(slot.tasks).toBe(3)
    expect(slot.ending).toBe(true)
    const limited = running('limited')
    limited.limits = { ...ONE, memoryBytes: 100 }
    ledger.change(limited.id, limited.limits)
    expect(seal(limited).ending).toBe(true)
    expect(ledger.reserved.memoryBytes).toBe(600)
  })

  it('ends all when the host lends no more, and those of a client or a job when they go', async () => {
    const mine = seal(running('one'))
    const other = seal(running('two'))
    const ended = pool.endAll({ client: 'client', job: 'two' })
    expect([mine.ending, other.ending]).toEqual([false, true])
    sandboxOf(other).end()
    await ended
    lending = false
    expect(pool.claim(use('one'))).toBe(mine)
    pool.giveBack(mine)
    expect(mine.ending).toBe(true)
  })
})
