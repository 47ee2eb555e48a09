import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Job, JobEvent } from '@manyhands/client'
import { createArtifactStore, liveTreesSupported } from '@manyhands/core'
import { createLocalNetwork, scripted } from '@manyhands/testing'
import { describe, expect, it, onTestFinished } from 'vitest'

type OutputEvent = Extract<JobEvent, { kind: 'output' }>

const MIB = 1024 ** 2

/** Waits for so many files of a job, from its beginning. */
async function outputsOf(job: Job, count: number): Promise<OutputEvent[]> {
  const found: OutputEvent[] = []
  for await (const event of job.events()) {
    if (event.kind === 'output') found.push(event)
    if (found.length === count) return found
  }
  throw new Error(`the job ended after ${found.length} of ${count} files`)
}

const text = async (event: OutputEvent | undefined) =>
  Buffer.from(await event!.file.bytes()).toString()

/** A network whose tasks write, run until `end()`, and have their files at `out(attempt)`. */
async function setup() {
  const gate = Promise.withResolvers<void>()
  const state = await mkdtemp(join(tmpdir(), 'manyhands-streamed-'))
  onTestFinished(() => rm(state, { recursive: true, force: true }))
  const script = () => ({ write: { 'a/1.png': 'one' }, until: gate.promise })
  const runtimes = () => [scripted({ script })]
  const network = await createLocalNetwork({ runtimes, hosts: [{ state }] })
  onTestFinished(() => network.close())
  const job = (over = {}) =>
    network.client.submit({ runtime: 'scripted', image: 'any', tasks: ['t'], ...over })
  const out = (attempt: string) => join(state, 'attempts', attempt, 'out')
  return { ...network, job, out, state, end: () => gate.resolve() }
}

it('the first words of a task are heard, though it is not told to run yet', async () => {
  await using network = await createLocalNetwork()
  const job = await network.client.submit({
    ...{ runtime: 'scripted', image: 'any', tasks: '1-40' },
    command: ['run', '--stdout', 'first of {{item}}', '--for', '300ms'],
  })
  const lines = await Array.fromAsync(job.logs({ follow: true }))
  expect(lines.filter(({ gap }) => gap !== undefined)).toEqual([])
  expect(new Set(lines.map(({ text }) => text)).size).toBe(40)
})

describe.skipIf(!liveTreesSupported)('outputs of a task that runs', () => {
  it('are at the client, whole, and can be read and saved', async () => {
    const { job: submit, state } = await setup()
    const job = await submit({ outputs: ['/out/a/*.png'] })
    const [event] = await outputsOf(job, 1)
    expect(job.counts.running).toBe(1)
    expect(event).toMatchObject({ task: 't', path: 'a/1.png', bytes: 3, executable: false })
    expect(event!.file.state).toBe('arrived')
    expect(await text(event)).toBe('one')
    const target = join(state, 'x.png')
    await event!.file.saveTo(target)
    expect(await readFile(target, 'utf8')).toBe('one')
    await job.cancel()
    expect(event!.file.state).toBe('provisional')
  })

  it('are not sent a second time with the result', async () => {
    const { job: submit, out, end } = await setup()
    const job = await submit({ resources: { disk: '64MiB' } })
    const [{ attempt }] = (await outputsOf(job, 1)) as [OutputEvent]
    await writeFile(join(out(attempt), 'part'), Buffer.alloc(8 * MIB, 'x'))
    await rename(join(out(attempt), 'part'), join(out(attempt), 'big'))
    const [, big] = await outputsOf(job, 2)
    expect(big).toMatchObject({ path: 'big', bytes: 8 * MIB })
    const before = job.progress.bytesDown
    expect(before).toBeGreaterThanOrEqual(8 * MIB)
    end()
    const { bytesDown, counts } = await job.wait()
    expect(counts.completed).toBe(1)
    expect(bytesDown - before).toBeLessThan(1000)
    expect(big!.file.state).toBe('result')
    const [result] = await Array.fromAsync(job.results())
    expect(result!.outputs.files.map(({ path }) => path)).toEqual(['a/1.png', 'big'])
  })

  it('come again when they change, and what there is at the end is the result', async () => {
    const { job: submit, out, end } = await setup()
    const job = await submit()
    const [first] = await outputsOf(job, 1)
    const place = out(first!.attempt)
    await writeFile(join(place, 'part'), 'other')
    await rename(join(place, 'part'), join(place, 'a/1.png'))
    await mkdir(join(place, 'b'))
    const [, second] = await outputsOf(job, 2)
    expect([second!.path, await text(second)]).toEqual(['a/1.png', 'other'])
    await expect(first!.file.bytes()).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await writeFile(join(place, 'a/1.png'), 'the last version')
    end()
    const [result] = await Array.fromAsync(job.results())
    const last = await result!.outputs.read('a/1.png')
    expect(Buffer.from(last).toString()).toBe('the last version')
  })

  it('are provisional when the attempt is taken away, and come from the next one', async () => {
    const { job: submit, hosts, end } = await setup()
    const job = await submit()
    const [first] = await outputsOf(job, 1)
    await hosts[0]!.kill(first!.attempt)
    const [, second] = await outputsOf(job, 2)
    expect(first!.file.state).toBe('provisional')
    expect(second!.attempt).not.toBe(first!.attempt)
    end()
    await job.wait()
    expect(second!.file.state).toBe('result')
    const ends = (await Array.fromAsync(job.events())).flatMap((event) =>
      event.kind === 'attempt' && event.phase === 'evicted' ? [event.provisional] : [],
    )
    expect(ends).toEqual([1])
  })

  it('stay where they are when the job does not want them before its end', async () => {
    const { job: submit, end } = await setup()
    const quiet = await submit({ streamOutputs: false })
    await outputsOf(await submit(), 1)
    end()
    const kinds = (await Array.fromAsync(quiet.events())).map(({ kind }) => kind)
    expect(kinds).not.toContain('output')
    const [result] = await Array.fromAsync(quiet.results())
    expect(result!.outputs.files).toEqual([{ path: 'a/1.png', size: 3 }])
  })

  it('leave nothing at the host that has been acknowledged', async () => {
    const { job: submit, end, state, hosts } = await setup()
    const job = await submit()
    await outputsOf(job, 1)
    end()
    await job.wait()
    while (hosts[0]!.attempts().length > 0) await new Promise((resolve) => setTimeout(resolve, 10))
    await hosts[0]!.close()
    await using store = await createArtifactStore({ dir: join(state, 'store') })
    expect((await store.usage()).artifacts).toBe(0)
  })
})
