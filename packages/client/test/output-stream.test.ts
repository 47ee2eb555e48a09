import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Artifact,
  createArtifactStore,
  LIMITS,
  type StreamedOutput,
  systemClock,
} from '@manyhands/core'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { JobEvent } from '../src/job-event.ts'
import type { JobRun } from '../src/job-run.ts'
import type { OutputFetcher } from '../src/output-fetcher.ts'
import { OutputStream } from '../src/output-stream.ts'
import { Task } from '../src/task.ts'

type Fetch = (file: StreamedOutput) => Promise<Artifact>
type Told = Extract<JobEvent, { kind: 'output' }>

async function setup(options: { diskBytes?: number; fetch?: Fetch } = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'manyhands-stream-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  const store = await createArtifactStore({ dir })
  onTestFinished(() => store.close())
  const told: Told[] = []
  const fetched: string[] = []
  const contents = new Map<string, string>()
  const job = {
    id: 'job',
    over: false,
    document: { base: { resources: { diskBytes: options.diskBytes ?? 1000 } } },
    tell: (event: Told) => told.push(event),
  } as unknown as JobRun & { over: boolean }
  const outputs = {
    fetchFile: async (_job: JobRun, _peer: string, file: StreamedOutput) => {
      fetched.push(file.path)
      if (options.fetch !== undefined) return options.fetch(file)
      return store.addBytes(Buffer.from(contents.get(file.root)!))
    },
  } as unknown as OutputFetcher
  let failed = 0
  const logger = {
    debug: () => {
      failed += 1
    },
    warn: () => {},
  }
  const stream = new OutputStream({ store, outputs, logger })
  const task = new Task(
    { index: 0, key: 't', phase: 'queued', epoch: 0, dispatches: 0, failures: 0 },
    { job: 'job', item: 1, overrides: {}, clock: systemClock },
  )
  /** What a host says of a file, as it is known beforehand. */
  const file = async (path: string, text: string): Promise<StreamedOutput> => {
    const { root, size } = await store.addBytes(Buffer.from(text))
    await store.release(root, 'nobody')
    contents.set(root, text)
    return { path, root, bytes: size, executable: false }
  }
  const attempt = task.nextAttempt('host')
  const announce = async (...files: StreamedOutput[]) => {
    stream.announced(job, task, attempt, files)
    // What is wanted is asked for in this turn, and told or given up in the end.
    do await new Promise((resolve) => setImmediate(resolve))
    while (fetched.length > told.length + failed)
  }
  return { store, stream, job, task, attempt, told, fetched, file, announce }
}

const text = async (event: Told | undefined) => Buffer.from(await event!.file.bytes()).toString()

describe('what hosts have of tasks that run', () => {
  it('is fetched and told once, and again when it is another', async () => {
    const { told, fetched, file, announce, store } = await setup()
    const first = await file('a', 'one')
    await announce(first)
    await announce(first)
    expect(fetched).toEqual(['a'])
    expect(told).toMatchObject([{ task: 't', path: 'a', bytes: 3, file: { state: 'arrived' } }])
    expect(await text(told[0])).toBe('one')
    await announce(await file('a', 'other'))
    expect(await text(told[1])).toBe('other')
    await expect.poll(async () => (await store.usage()).artifacts).toBe(1)
    await expect(told[0]!.file.bytes()).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('is no error when it cannot be had or is not what was said, and may be tried again', async () => {
    let fail = true
    const place = await setup({
      fetch: async ({ root }) => {
        if (fail) throw new Error('the host is gone')
        return place.store.addBytes(Buffer.from(root === wrong.root ? 'longer than said' : 'one'))
      },
    })
    const right = await place.file('a', 'one')
    const wrong = { ...(await place.file('b', 'two')), path: 'b' }
    await place.announce(right)
    fail = false
    await place.announce(right, wrong)
    expect(place.told.map(({ path }) => path)).toEqual(['a'])
    expect(place.fetched).toEqual(['a', 'a', 'b'])
  })

  it('is not wanted of attempts that were ended, or of jobs that are over', async () => {
    const { attempt, job, stream, told, file, announce } = await setup()
    await announce(await file('a', 'one'))
    attempt.canceled = true
    await announce(await file('b', 'two'))
    attempt.canceled = false
    job.over = true
    await announce(await file('c', 'three'))
    job.over = false
    attempt.lost = true
    expect(told[0]!.file.state).toBe('provisional')
    attempt.lost = false
    expect(told[0]!.file.state).toBe('arrived')
    stream.giveUp(attempt)
    await announce(await file('d', 'four'))
    expect(told.map(({ path }) => path)).toEqual(['a'])
    expect(told[0]!.file.state).toBe('provisional')
  })

  it('is bounded: in bytes by the disk that the attempt was given, and in number', async () => {
    const { attempt, fetched, file, announce } = await setup({ diskBytes: 10 })
    await announce(await file('a', 'four'), await file('b', 'eight ch'), await file('c', 'five!'))
    expect(fetched).toEqual(['a', 'c'])
    // Another version takes the place of the one before.
    await announce(await file('c', 'six ch'))
    expect(fetched).toEqual(['a', 'c', 'c'])
    const many = Array.from({ length: LIMITS.outputsStreamed + 10 }, (_, index) => ({
      path: `${index}`,
      root: `sha256:${index.toString(16).padStart(64, '0')}`,
      bytes: 0,
      executable: false,
    }))
    const noted = many.filter((file) => attempt.arrivals.note(file, 10))
    expect(noted).toHaveLength(LIMITS.outputsStreamed - 3)
  })

  it('is let go with its job, and when the client closes', async () => {
    const { store, stream, file, announce } = await setup()
    await announce(await file('a', 'one'))
    stream.forgetJob('another')
    await announce(await file('b', 'two'))
    expect((await store.usage()).artifacts).toBe(2)
    stream.forgetJob('job')
    await expect.poll(async () => (await store.usage()).artifacts).toBe(0)
    await announce(await file('c', 'three'))
    await stream.close()
    expect((await store.usage()).artifacts).toBe(0)
    await announce(await file('d', 'four'))
    expect((await store.usage()).artifacts).toBe(0)
  })
})
