import fs from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate, setTimeout as setTimeoutPromise } from 'node:timers/promises'
import { createClient } from '@manyhands/client'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createLocalNetwork, type LocalNetwork, scripted } from '../src/index.ts'

let dir: string
let open: LocalNetwork | undefined
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'manyhands-test-'))
})
afterEach(async () => {
  await open?.close()
  open = undefined
  await rm(dir, { recursive: true, force: true })
})
const spec = { runtime: 'scripted', image: 'any', command: ['run'] }
const resources = { cpus: 0.1, memory: '1MiB', disk: 0 }

it('a job that is paused while an end is looked at goes on to its end', async () => {
  open = await createLocalNetwork()
  const looking = Promise.withResolvers<void>()
  const looked = Promise.withResolvers<void>()
  const job = await open.client.submit({
    ...spec,
    tasks: '1-3',
    validate: async () => {
      looking.resolve()
      await looked.promise
    },
  })
  await looking.promise
  await job.pause({ stop: true })
  expect(job.phase).toBe('paused')
  expect(job.counts.running).toBe(0)
  looked.resolve()
  await job.resume()
  expect(await job.wait()).toMatchObject({
    phase: 'completed',
    counts: { completed: 3, running: 0 },
  })
})

it('a job that found no host reads on in its source when it is tried again', async () => {
  open = await createLocalNetwork({ hosts: [{ labels: { room: 'a' } }] })
  let found = false
  const job = await open.client.submit({
    ...spec,
    resources,
    tasks: '1-3000',
    hosts: { wait: '200ms', where: () => found },
  })
  expect(await job.wait()).toMatchObject({ phase: 'failed', error: { code: 'NO_HOSTS' } })
  found = true
  await job.retry({ failed: true })
  expect(await job.wait()).toMatchObject({
    phase: 'completed',
    counts: { completed: 3000, total: 3000, failed: 0 },
  })
})

it('failed parts of a range are cut anew when they are tried again, here and in another process', async () => {
  let broken = true
  const host = {
    runtimes: [scripted({ script: () => (broken ? { exit: 3 } : {}) })],
    share: { cpus: 1, memory: '1GiB', disk: '1GiB' },
  }
  open = await createLocalNetwork({ hosts: [host] })
  const split = { ...spec, tasks: '1-60', split: { by: 'range' as const }, retry: { attempts: 1 } }
  const state = join(dir, 'client')
  const first = await open.addClient({ state })
  const job = await first.submit(split)
  expect((await job.wait()).counts).toMatchObject({ failed: 60, completed: 0 })
  await job.retry({ failed: true })
  expect((await job.wait()).counts).toMatchObject({ failed: 60, completed: 0, total: 60 })
  await first.close()
  broken = false
  const second = await open.addClient({ state })
  const again = await second.job(job.id)
  expect(again.counts).toMatchObject({ failed: 60, total: 60 })
  await again.retry({ failed: true })
  expect(await again.wait()).toMatchObject({
    phase: 'completed',
    counts: { completed: 60, failed: 0, total: 60 },
  })
})

it('a submission that is cut off by the end of its client was none', async () => {
  open = await createLocalNetwork()
  const client = await createClient({ state: join(dir, 'client') })
  const submitting = client.submit({ ...spec, tasks: Array.from({ length: 60_000 }, (_, n) => n) })
  const cut = expect(submitting).rejects.toMatchObject({ code: 'CLOSED' })
  while (client.jobs().length === 0) await new Promise((resolve) => setTimeout(resolve, 1))
  await client.close()
  await cut
})

it('a job can be canceled after its client was closed, without waiting for ever', async () => {
  open = await createLocalNetwork()
  const client = await open.addClient({ state: join(dir, 'client') })
  const job = await client.submit({ ...spec, command: ['run', '--hang'], tasks: '1' })
  while (job.counts.running === 0) await new Promise((resolve) => setTimeout(resolve, 1))
  await client.close()
  await expect(job.cancel()).rejects.toMatchObject({ code: 'CLOSED' })
})

it('the same key while the first submission is still read in is promised as much', async () => {
  open = await createLocalNetwork()
  const client = await open.addClient({ state: join(dir, 'client') })
  const given = {
    ...spec,
    key: 'k',
    resources,
    tasks: Array.from({ length: 20_000 }, (_, n) => n),
    hosts: { only: ['nobody'] },
  }
  const [one, other] = await Promise.all([client.submit(given), client.submit(given)])
  expect(one.id).toBe(other.id)
  expect(other.counts).toMatchObject({ queued: 20_000, total: 20_000 })
  const { id } = one
  await client.close()
  const next = await open.addClient({ state: join(dir, 'client') })
  expect(next.jobs()).toMatchObject([{ id, counts: { queued: 20_000, total: 20_000 } }])
})

describe('at a disk that takes its time', () => {
  const real = fs.fdatasync
  /** Every sync of this process takes so long. */
  const slow = (ms: number, done: () => void = () => {}) => {
    fs.fdatasync = ((file: number, told: (error: Error | null) => void) => {
      setTimeout(() => {
        real(file, (error) => {
          done()
          told(error)
        })
      }, ms)
    }) as typeof fs.fdatasync
    syncBuiltinESMExports()
  }
  afterEach(() => {
    fs.fdatasync = real
    syncBuiltinESMExports()
  })

  it('a key that is submitted twice at once is one job', async () => {
    slow(20)
    open = await createLocalNetwork()
    const client = await open.addClient({ state: join(dir, 'client') })
    const given = { ...spec, key: 'once', tasks: '1-3' }
    const later = setImmediate().then(() => client.submit(given))
    const [one, two] = await Promise.all([client.submit(given), later])
    expect(two).toBe(one)
    expect(await two.wait()).toMatchObject({ phase: 'completed', counts: { completed: 3 } })
  })

  it('no result is handed out before it is durable', async () => {
    let synced = 0
    slow(100, () => {
      synced = performance.now()
    })
    let n = 0
    open = await createLocalNetwork({
      runtimes: () => [scripted({ script: () => ({ for: n++ === 0 ? '1ms' : '60ms' }) })],
    })
    const client = await open.addClient({ state: join(dir, 'client') })
    const job = await client.submit({ ...spec, resources, tasks: '1-2' })
    const handed: number[] = []
    for await (const result of job.results()) {
      // Of the one that came in between, the commit is seen before the disk has it.
      handed.push(synced)
      expect(synced).toBeGreaterThan(0)
      synced = 0
      expect(result.ok).toBe(true)
      await setTimeoutPromise(50)
    }
    expect(handed).toHaveLength(2)
  })
})
