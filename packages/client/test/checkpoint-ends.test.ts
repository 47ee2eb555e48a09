import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type ArtifactStore,
  type AttemptEnd,
  type Checkpoint,
  createArtifactStore,
  type ErrorCode,
  LIMITS,
  ManyhandsError,
  type Network,
  systemClock,
} from '@manyhands/core'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Checkpoints } from '../src/checkpoints/checkpoints.ts'
import type { HostDirectory } from '../src/host-directory.ts'
import type { JobRun } from '../src/job-run.ts'
import { openClientJournal } from '../src/journal/client-journal.ts'
import { judgeEnd } from '../src/judge-end.ts'
import { type LiveAttempt, Task } from '../src/task.ts'

/** A job is over. */
const ends = (job: JobRun) => job.ended.resolve(job.summary)

const aborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })

/** A task of which one checkpoint is here, and attempts that begin with it. */
async function setup() {
  const dir = await mkdtemp(join(tmpdir(), 'manyhands-test-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  const journal = openClientJournal(join(dir, 'client.db'), { durable: true })
  onTestFinished(() => journal.close())
  const store = await createArtifactStore({ dir: join(dir, 'store') })
  onTestFinished(() => store.close())
  await mkdir(join(dir, 'out/state'), { recursive: true })
  await writeFile(join(dir, 'out/state/x'), 'good')
  const artifact = await store.collect(join(dir, 'out'), ['**'], { holder: 'test' })
  const checkpoint: Checkpoint = { root: artifact.root, bytes: artifact.size }
  /** Why nothing more comes. */
  let cut: ErrorCode | undefined
  /** While set, what comes takes until it is aborted. */
  let onTheWay: PromiseWithResolvers<void> | undefined
  const fetch: ArtifactStore['fetch'] = (...call) => {
    if (onTheWay !== undefined) {
      onTheWay.resolve()
      return aborted(call[2]!.signal!)
    }
    if (cut === undefined) return store.fetch(...call)
    return Promise.reject(new ManyhandsError(cut, 'nothing comes'))
  }
  const release = (root: string, holder: string) => store.release(root, holder)
  /** As a process of the client makes it of its journal. */
  const open = () => {
    const made = new Checkpoints({
      network: { call: async () => ({}) } as unknown as Network,
      store: Object.assign(Object.create(store), {
        ...{ fetch, release },
        retain: (root: string, holder: string) => store.retain(root, holder),
      }),
      directory: { record: () => undefined } as unknown as HostDirectory,
      rows: journal.checkpoints,
      clock: { ...systemClock, delay: async () => {} },
      logger: { debug: () => {}, warn: () => {} },
      closing: new AbortController().signal,
    })
    onTestFinished(() => made.close())
    return made
  }
  const checkpoints = open()
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
    ended: Promise.withResolvers<void>(),
    left: Promise.withResolvers<never>(),
    progressed: () => {},
    tell: () => {},
  } as unknown as JobRun
  const task = new Task(
    { index: 0, key: 't', phase: 'queued', epoch: 0, dispatches: 0, failures: 0 },
    { job: 'job', item: 't', overrides: {}, clock: systemClock },
  )
  task.move('running')
  await checkpoints.announced(job, task, task.nextAttempt('a'), { seq: 1, ...checkpoint })
  const begin = () => {
    const attempt = task.nextAttempt('a')
    checkpoints.begin(job, task, attempt)
    return attempt
  }
  /** An attempt begins with what there is, and ends. Resolves with what it began with. */
  const endsWith = async (code: ErrorCode, details?: Record<string, unknown>) => {
    const attempt = begin()
    const error = new ManyhandsError(code, 'it ended', details && { details }).toJSON()
    const end = { durationMs: 1, error } as AttemptEnd
    const of = { job, task, attempt }
    await checkpoints.ended(of, { phase: 'failed', end }, judgeEnd('failed', end))
    return attempt.restore?.root
  }
  /** An attempt asks to be continued, and what it left does not come. */
  const continues = async (why: ErrorCode) => {
    cut = why
    const attempt = begin()
    const error = new ManyhandsError('TASK_CONTINUES', 'it wants to be continued').toJSON()
    const left = { seq: 1, root: `sha256:${'a'.repeat(64)}`, bytes: 4 }
    const end = { durationMs: 1, exitCode: 75, error, checkpoint: left } as AttemptEnd
    const of = { job, task, attempt }
    const judged = judgeEnd('failed', end)
    const verdict = await checkpoints.ended(of, { phase: 'failed', end }, judged)
    return { verdict, code: end.error!.code }
  }
  /** Another one is announced and does not come; resolves when it is on its way. */
  const comes = async (attempt: LiveAttempt) => {
    onTheWay = Promise.withResolvers()
    const next = { seq: 2, root: `sha256:${'b'.repeat(64)}`, bytes: 4 }
    const given = checkpoints.announced(job, task, attempt, next)!
    await onTheWay.promise
    return { given }
  }
  await store.release(artifact.root, 'test')
  const held = async () => {
    await store.gc()
    return (await store.get(artifact.root)) !== undefined
  }
  return {
    ...{ checkpoint, checkpoints, open, store, job, task, held },
    ...{ begin, endsWith, continues, comes },
  }
}

it.each<ErrorCode>(['HOST_FAILED', 'RUNTIME_UNAVAILABLE', 'ARTIFACT_MISSING', 'CONNECT_FAILED'])(
  'what is no fault of a checkpoint does not drop it: %s',
  async (code) => {
    const { checkpoint, endsWith, begin } = await setup()
    for (let n = 0; n <= LIMITS.checkpointStarts; n += 1) await endsWith(code)
    expect(begin().restore).toEqual(checkpoint)
  },
)

it.each<ErrorCode>(['TASK_FAILED', 'ARTIFACT_MISSING', 'ARTIFACT_CORRUPT'])(
  'one that leads nowhere, or cannot be had, is dropped: %s',
  async (code) => {
    const { checkpoint, endsWith, begin } = await setup()
    const details = code === 'TASK_FAILED' ? undefined : { restore: checkpoint.root }
    for (let n = 0; n < LIMITS.checkpointStarts; n += 1) {
      expect(await endsWith(code, details)).toBe(checkpoint.root)
    }
    expect(begin().restore).toBeUndefined()
  },
)

it.each([
  ['CONNECT_FAILED', { verdict: 'continue', code: 'CONNECT_FAILED' }],
  ['PROTOCOL', { verdict: 'move', code: 'HOST_FAILED' }],
] as const)(
  'what a task left to be continued with, and does not come, is its host’s fault only if it is: %s',
  async (why, becomes) => {
    const { continues, begin, checkpoint } = await setup()
    expect(await continues(why)).toEqual(becomes)
    expect(begin().restore).toEqual(checkpoint)
  },
)

it('that a later attempt has made another one is no fault of who asks to be continued', async () => {
  const { checkpoint, checkpoints, job, task, begin } = await setup()
  const [first, second] = [begin(), begin()]
  const of = { job, task, attempt: first }
  await checkpoints.announced(job, task, second, { seq: 1, ...checkpoint })
  const error = new ManyhandsError('TASK_CONTINUES', 'it wants to be continued').toJSON()
  const end = { durationMs: 1, exitCode: 75, error, checkpoint: { seq: 1, ...checkpoint } }
  const judged = judgeEnd('failed', end as AttemptEnd)
  const ended = { phase: 'failed' as const, end: end as AttemptEnd }
  expect(await checkpoints.ended(of, ended, judged)).toBe('continue')
  expect(end.error.code).toBe('TASK_CONTINUES')
})

it('what an attempt is to begin with stays, and is served, until it has begun', async () => {
  const { checkpoint, checkpoints, store, job, task, begin } = await setup()
  const attempt = begin()
  checkpoints.over(job, task)
  await store.gc()
  expect(checkpoints.jobOf(checkpoint.root)).toBe('job')
  expect(await store.get(checkpoint.root)).toBeDefined()
  checkpoints.begun(attempt)
  expect(checkpoints.jobOf(checkpoint.root)).toBeUndefined()
  await expect.poll(() => store.get(checkpoint.root)).toBeUndefined()
})

describe('what is on its way', () => {
  it('is given up when its task is over, and nothing is kept of it', async () => {
    const { checkpoints, job, task, begin, comes, held } = await setup()
    const attempt = begin()
    checkpoints.begun(attempt)
    const { given } = await comes(attempt)
    task.move('completed')
    checkpoints.over(job, task)
    await given
    await expect.poll(held).toBe(false)
  })

  it('is given up when its job is over, and so is all that was kept', async () => {
    const { checkpoint, checkpoints, job, begin, comes, held } = await setup()
    const { given } = await comes(begin())
    Object.assign(job, { over: true })
    ends(job)
    await given
    await expect.poll(held).toBe(false)
    expect(checkpoints.jobOf(checkpoint.root)).toBeUndefined()
  })

  it('is given up when another client takes the job; what was kept stays', async () => {
    const { checkpoint, checkpoints, job, begin, comes, held } = await setup()
    const { given } = await comes(begin())
    job.left.reject(new Error('it was taken over'))
    await given
    expect(await held()).toBe(true)
    expect(checkpoints.jobOf(checkpoint.root)).toBe('job')
  })
})

describe('what an attempt of an earlier process is to begin with', () => {
  /** That attempt, in the next process; the first one has nothing of it any more. */
  async function restarted() {
    const before = await setup()
    const { checkpoint, checkpoints, job, task } = before
    const first = before.begin()
    checkpoints.begun(first)
    const next = before.open()
    const again = task.restoreAttempt([first.epoch, first.host, null, checkpoint])
    next.restored(job, task, again)
    // What is kept of its task is another one meanwhile, or none.
    checkpoints.over(job, task)
    return { ...before, next, again }
  }

  it('is held and served until it runs', async () => {
    const { checkpoint, next, again, held } = await restarted()
    expect(next.jobOf(checkpoint.root)).toBe('job')
    expect(await held()).toBe(true)
    next.begun(again)
    await expect.poll(held).toBe(false)
    expect(next.jobOf(checkpoint.root)).toBeUndefined()
  })

  it('is let go of when the job is over before it ran', async () => {
    const { checkpoint, next, job, held } = await restarted()
    expect(await held()).toBe(true)
    ends(job)
    await expect.poll(held).toBe(false)
    expect(next.jobOf(checkpoint.root)).toBeUndefined()
  })
})
