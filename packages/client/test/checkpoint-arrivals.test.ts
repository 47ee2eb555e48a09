import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import {
  type AnnouncedCheckpoint,
  type ArtifactStore,
  type Clock,
  createArtifactStore,
  LIMITS,
  ManyhandsError,
  type Network,
  systemClock,
} from '@manyhands/core'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { CheckpointArrivals } from '../src/checkpoints/checkpoint-arrivals.ts'
import { KeptCheckpoints } from '../src/checkpoints/kept-checkpoints.ts'
import type { HostDirectory } from '../src/host-directory.ts'
import type { JobRun } from '../src/job-run.ts'
import { type ClientJournal, openClientJournal } from '../src/journal/client-journal.ts'
import { Task } from '../src/task.ts'

let dir: string
let journal: ClientJournal
let store: ArtifactStore
let kept: KeptCheckpoints
let arrivals: CheckpointArrivals
/** What hosts were told, and which of them were blamed. */
let told: number[]
let blamed: string[]
/** What becomes of a transfer that does not come by itself. */
let coming: ((peer: string, signal: AbortSignal) => Promise<void>) | undefined
let clock: ReturnType<typeof standingClock>
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'manyhands-test-'))
  journal = openClientJournal(join(dir, 'client.db'), { durable: true })
  store = await createArtifactStore({ dir: join(dir, 'store') })
  kept = new KeptCheckpoints(journal.checkpoints, store)
  told = []
  blamed = []
  const network = {
    call: async (_: string, __: string, { taken }: { taken: { seq: number }[] }) => {
      told.push(taken[0]!.seq)
    },
  } as unknown as Network
  const directory = {
    record: (host: string) => ({ record: (end: string) => blamed.push(`${host} ${end}`) }),
  } as unknown as HostDirectory
  const logger = { debug: () => {}, warn: () => {} }
  const closing = new AbortController().signal
  coming = undefined
  clock = standingClock()
  const fetching = Object.assign(Object.create(store), {
    fetch: async (...call: Parameters<ArtifactStore['fetch']>) => {
      const [, { peer }, options] = call
      await coming?.(peer, options!.signal!)
      return await store.fetch(...call)
    },
    retain: (root: string, holder: string) => store.retain(root, holder),
    release: (root: string, holder: string) => store.release(root, holder),
  })
  arrivals = new CheckpointArrivals(
    { network, store: fetching, directory, clock, logger, closing },
    kept,
  )
})
afterEach(async () => {
  await arrivals.close()
  await store.close()
  await journal.close()
  await rm(dir, { recursive: true })
})

const job = {
  id: 'job',
  over: false,
  document: {
    base: {
      image: 'any',
      resources: { diskBytes: 1000 },
      checkpoint: { paths: ['/out/state/*'], everyMs: 1000 },
    },
  },
  meter: { received: () => {} },
  progressed: () => {},
  tell: () => {},
} as unknown as JobRun

/** Time passes when a test says so: up to the next thing that is waited for. */
function standingClock() {
  const waits: { at: number; over: () => void }[] = []
  let time = 0
  const delay: Clock['delay'] = (ms, { signal } = {}) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const wait = { at: time + ms, over: resolve }
      waits.push(wait)
      signal?.addEventListener('abort', () => {
        waits.splice(waits.indexOf(wait), 1)
        reject(signal.reason)
      })
    })
  const pass = async (waiting = 1) => {
    await vi.waitFor(() => expect(waits).toHaveLength(waiting))
    const next = waits.toSorted((a, b) => a.at - b.at)[0]!
    waits.splice(waits.indexOf(next), 1)
    time = next.at
    next.over()
  }
  return { ...systemClock, now: () => time, delay, pass }
}

function running(key = 't'): Task {
  const row = { index: 0, key, phase: 'queued', epoch: 0, dispatches: 0, failures: 0 } as const
  const task = new Task(row, { job: 'job', item: 't', overrides: {}, clock: systemClock })
  task.move('running')
  return task
}

/** A checkpoint of these files: as it is here already, nothing has to come. */
async function made(seq: number, files: Record<string, string>): Promise<AnnouncedCheckpoint> {
  const out = join(dir, `out-${seq}`)
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(out, path)), { recursive: true })
    await writeFile(join(out, path), text)
  }
  const { root, size: bytes } = await store.collect(out, ['**'], { holder: 'test' })
  return { seq, root, bytes }
}

it('the newest of the newest attempt is kept, whatever comes late', async () => {
  const task = running()
  const [old, young] = [task.nextAttempt('a'), task.nextAttempt('b')]
  const [first, second, late] = [
    await made(1, { 'state/x': '1' }),
    await made(2, { 'state/x': '22' }),
    await made(9, { 'state/x': '999' }),
  ]
  await arrivals.announced(job, task, young, second)
  await arrivals.announced(job, task, young, first)
  await arrivals.announced(job, task, old, late)
  expect(kept.get('job', 't')).toMatchObject({ epoch: 2, seq: 2, root: second.root })
  // The hosts need not keep the others for us, and hear it again if they ask again.
  expect(told).toEqual([2, 2, 9])
  expect(young.timeline.checkpoints).toHaveLength(1)
  expect(old.timeline.checkpoints).toBeUndefined()
})

it.each([
  ['files that no path of the job takes', { 'state/x': '1', result: 'made up' }, {}],
  ['another size than it says', { 'state/x': '1' }, { bytes: 2 }],
  ['no file', {}, {}],
])('%s: refused at the expense of its host, and the one before stays', async (_, files, over) => {
  const task = running()
  const attempt = task.nextAttempt('liar')
  const good = await made(1, { 'state/x': 'good' })
  await arrivals.announced(job, task, attempt, good)
  await mkdir(join(dir, 'out-2'), { recursive: true })
  await arrivals.announced(job, task, attempt, { ...(await made(2, files)), ...over })
  expect(kept.get('job', 't')!.root).toBe(good.root)
  expect(blamed).toEqual(['liar failed'])
  expect(told).toEqual([1, 2])
})

it('what comes of an attempt that was canceled, or of a task that is over, is not kept', async () => {
  const task = running()
  const [canceled, other] = [task.nextAttempt('a'), task.nextAttempt('b')]
  canceled.canceled = true
  await arrivals.announced(job, task, canceled, await made(1, { 'state/x': '1' }))
  task.move('completed')
  await arrivals.announced(job, task, other, await made(2, { 'state/x': '2' }))
  expect(kept.get('job', 't')).toBeUndefined()
  expect(told).toEqual([1, 2])
})

it('what a task made of something wrong is not kept, though it is not over', async () => {
  const task = running()
  const attempt = task.nextAttempt('a')
  task.revoked = true
  await arrivals.announced(job, task, attempt, await made(1, { 'state/x': '1' }))
  expect(kept.get('job', 't')).toBeUndefined()
  expect(told).toEqual([1])
})

it('the same files again are no step: what came of them before is not forgotten', async () => {
  const task = running()
  const [first, second] = [task.nextAttempt('a'), task.nextAttempt('b')]
  const same = await made(1, { 'state/x': 'same' })
  await arrivals.announced(job, task, first, same)
  await kept.change('job', 't', (row) => row && { ...row, starts: 1 })
  await arrivals.announced(job, task, second, same)
  expect(kept.get('job', 't')).toMatchObject({ epoch: 2, root: same.root, starts: 1 })
  await arrivals.announced(job, task, second, await made(2, { 'state/x': 'other' }))
  expect(kept.get('job', 't')!.starts).toBe(0)
})

const never = (signal: AbortSignal) =>
  new Promise<void>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason))
  })

describe('a host from which nothing comes', () => {
  it('holds up only its own', async () => {
    coming = async (peer, signal) => (peer === 'slow' ? never(signal) : undefined)
    const saved = await made(1, { 'state/x': '1' })
    const stuck = Array.from({ length: 20 }, (_, n) => running(`slow ${n}`))
    for (const task of stuck) void arrivals.announced(job, task, task.nextAttempt('slow'), saved)
    const other = running()
    await arrivals.announced(job, other, other.nextAttempt('quick'), saved)
    expect(kept.get('job', 't')).toMatchObject({ root: saved.root })
    arrivals.stopJob(job)
  })

  it.each([
    [
      'its attempt is canceled',
      (task: Task) => {
        const [attempt] = task.attempts.values()
        attempt!.canceled = true
        arrivals.stop(attempt!)
      },
    ],
    [
      'its task is over',
      (task: Task) => {
        task.move('completed')
        arrivals.stopTask(task)
      },
    ],
  ])('is not waited for when %s', async (_, stop) => {
    let tries = 0
    coming = async (__, signal) => {
      tries += 1
      if (tries === 1) await never(signal)
    }
    const saved = await made(1, { 'state/x': '1' })
    const [stuck, next] = [running('stuck'), running()]
    const first = arrivals.announced(job, stuck, stuck.nextAttempt('a'), saved)
    const second = arrivals.announced(job, next, next.nextAttempt('a'), saved)
    await vi.waitFor(() => expect(tries).toBe(1))
    stop(stuck)
    await Promise.all([first, second])
    expect(kept.get('job', 't')).toMatchObject({ root: saved.root })
    expect(kept.get('job', 'stuck')).toBeUndefined()
  })

  it('holds up the task of an attempt that has ended no longer than it may', async () => {
    coming = (_, signal) => never(signal)
    const task = running()
    const attempt = task.nextAttempt('slow')
    const saved = await made(1, { 'state/x': '1' })
    const last = arrivals.last(job, task, attempt, saved)
    await clock.pass()
    await last
    expect(clock.now()).toBeGreaterThan(LIMITS.checkpointLastMs)
    expect(kept.get('job', 't')).toBeUndefined()
    expect(arrivals.failureOf(attempt)).toMatchObject({ error: { code: 'TIMEOUT' }, blamed: false })
  })
})

describe('a checkpoint that does not come', () => {
  const failing = (code: 'CONNECT_FAILED' | 'ARTIFACT_MISSING' | 'DISK_FULL', times: number) => {
    let left = times
    coming = async () => {
      left -= 1
      if (left >= 0) throw new ManyhandsError(code, 'it does not come')
    }
  }

  it('is tried again, and the host keeps it until it is here', async () => {
    const task = running()
    const attempt = task.nextAttempt('a')
    const saved = await made(1, { 'state/x': '1' })
    failing('CONNECT_FAILED', 4)
    const first = arrivals.announced(job, task, attempt, saved)
    await clock.pass()
    await clock.pass()
    await first
    expect(told).toEqual([])
    // It says so again, as it was told nothing.
    const second = arrivals.announced(job, task, attempt, saved)
    await clock.pass()
    await second
    expect(told).toEqual([1])
    expect(kept.get('job', 't')!.root).toBe(saved.root)
    expect(blamed).toEqual([])
  })

  it('because its host has let go of it is not waited for by that host', async () => {
    const task = running()
    const attempt = task.nextAttempt('a')
    failing('ARTIFACT_MISSING', 3)
    const first = arrivals.announced(job, task, attempt, await made(1, { 'state/x': '1' }))
    await clock.pass()
    await clock.pass()
    await first
    expect(told).toEqual([1])
    expect(blamed).toEqual([])
    expect(kept.get('job', 't')).toBeUndefined()
    const next = await made(2, { 'state/x': '2' })
    await arrivals.announced(job, task, attempt, next)
    expect(kept.get('job', 't')!.root).toBe(next.root)
  })

  it('for want of room on our own disk is waited for, however long, and blames nobody', async () => {
    const task = running()
    const attempt = task.nextAttempt('a')
    const saved = await made(1, { 'state/x': '1' })
    failing('DISK_FULL', 10)
    const last = arrivals.last(job, task, attempt, saved)
    let over = false
    void last.finally(() => {
      over = true
    })
    // Both the next try and its bound are waited for: no transfer is under way.
    while (!over) await Promise.race([clock.pass(2), last])
    expect(clock.now()).toBeGreaterThanOrEqual(10 * LIMITS.checkpointLastMs)
    expect(kept.get('job', 't')!.root).toBe(saved.root)
    expect(told).toEqual([1])
    expect(blamed).toEqual([])
  })
})
