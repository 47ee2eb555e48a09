import { mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createClient, type Job, type JobEvent } from '@manyhands/client'
import { type JobSpec, LIMITS, liveTreesSupported, type RuntimeSpec } from '@manyhands/core'
import { createLocalNetwork, type Script, scripted } from '@manyhands/testing'
import { describe, expect, it, onTestFinished } from 'vitest'

type Saved = Extract<JobEvent, { kind: 'checkpoint' }>
type Attempt = Extract<JobEvent, { kind: 'attempt' }>

const EVERY = '1s'

/** The first event that is wanted; `until` says so. */
async function heard<Event extends JobEvent>(
  job: Job,
  wanted: (event: JobEvent) => event is Event,
): Promise<Event> {
  for await (const event of job.events()) if (wanted(event)) return event
  throw new Error('the job ended without it')
}

const saved = (job: Job, bytes: number) =>
  heard(job, (event): event is Saved => event.kind === 'checkpoint' && event.bytes === bytes)
const running = (job: Job, epoch: number) =>
  heard(
    job,
    (event): event is Attempt =>
      event.kind === 'attempt' && event.phase === 'running' && event.attempt.endsWith(`.${epoch}`),
  )

/** Whether the store below a state directory has this artifact. */
async function stored(state: string, root: string): Promise<boolean> {
  const id = root.slice('sha256:'.length)
  const found = stat(join(state, 'store/manifests', id.slice(0, 2), id))
  return await found.then(
    () => true,
    () => false,
  )
}

/** Hosts whose tasks are as `script` says, and a job with a checkpoint at /out/state. */
async function setup(
  script: (spec: RuntimeSpec, found: string | undefined) => Script,
  options: { hosts?: number; clientState?: boolean } = {},
) {
  const dir = await mkdtemp(join(tmpdir(), 'manyhands-checkpoints-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  const states = Array.from({ length: options.hosts ?? 1 }, (_, n) => join(dir, `host-${n}`))
  const seen: RuntimeSpec[] = []
  const runtimes = () => [
    scripted({
      script: (spec) => {
        seen.push(spec)
        return script(spec, spec.env['MANYHANDS_CHECKPOINT'])
      },
    }),
  ]
  const client = options.clientState ? { state: join(dir, 'client') } : {}
  const network = await createLocalNetwork({
    runtimes,
    hosts: states.map((state) => ({ state })),
    client,
  })
  onTestFinished(() => network.close())
  const spec: JobSpec = {
    runtime: 'scripted',
    image: 'any',
    tasks: ['t'],
    checkpoint: { paths: ['/out/state/**'], every: EVERY },
    resources: { disk: '16MiB' },
  }
  const submit = (over: Partial<JobSpec> = {}) => network.client.submit({ ...spec, ...over })
  /** A file of an attempt, where its host has it. */
  const fileOf = ({ attempt, host }: Pick<Attempt, 'attempt' | 'host'>, path: string) => {
    const at = network.hosts.findIndex(({ peerId }) => peerId === host)
    return join(states[at]!, 'attempts', attempt, 'out', path)
  }
  const write = async (of: Pick<Attempt, 'attempt' | 'host'>, path: string, content: string) => {
    const file = fileOf(of, path)
    await mkdir(dirname(file), { recursive: true })
    // Beside what is declared: a checkpoint is made at any moment.
    const part = fileOf(of, `${path.replaceAll('/', '-')}.part`)
    await writeFile(part, content)
    await rename(part, file)
  }
  const read = (of: Pick<Attempt, 'attempt' | 'host'>, path: string) =>
    readFile(fileOf(of, path), 'utf8')
  /** Whether a host has this artifact. */
  const holds = (host: number, root: string) => stored(states[host]!, root)
  const hostOf = ({ host }: Pick<Attempt, 'host'>) =>
    network.hosts.find(({ peerId }) => peerId === host)!
  return { ...network, dir, spec, submit, write, read, holds, hostOf, seen }
}

describe.skipIf(!liveTreesSupported)('checkpoints', () => {
  it('leave the host at their interval; the next attempt begins with the newest', async () => {
    const { submit, write, read, hostOf, seen } = await setup(() => ({ hang: true }), { hosts: 2 })
    const job = await submit()
    const first = await running(job, 1)
    await write(first, 'state/step', '1')
    await write(first, 'other', 'not part of it')
    await saved(job, 1)
    await write(first, 'state/step', '22')
    const { root } = await saved(job, 2)
    await hostOf(first).kill(first.attempt, 'need it')
    const second = await running(job, 2)
    expect(second.host).not.toBe(first.host)
    expect(await read(second, 'state/step')).toBe('22')
    await expect(read(second, 'other')).rejects.toThrow('ENOENT')
    expect(seen.map(({ env }) => env['MANYHANDS_CHECKPOINT'])).toEqual([undefined, '1'])
    const events: JobEvent[] = []
    for await (const event of job.events()) {
      events.push(event)
      // Its host may say that it begins before its yes has arrived.
      if (event.kind !== 'attempt' || event.attempt !== second.attempt) continue
      if (event.startedFrom !== undefined) break
    }
    const evicted = events.find((event) => event.kind === 'attempt' && event.phase === 'evicted')
    const { checkpoints } = (evicted as Attempt).timeline!
    expect(checkpoints).toHaveLength(2)
    expect((events.at(-1) as Attempt).startedFrom).toEqual({
      attempt: first.attempt,
      root,
      bytes: 2,
    })
    await job.cancel()
  })

  it('are made a last time before a host that drains sends a task away', async () => {
    const { submit, write, read, hostOf } = await setup(() => ({ hang: true }), { hosts: 2 })
    const job = await submit({ checkpoint: { paths: ['/out/state/**'], every: '1h' } })
    const first = await running(job, 1)
    await write(first, 'state/step', 'drained')
    const drained = hostOf(first).drain({ deadline: '50ms' })
    const second = await running(job, 2)
    await drained
    expect(await read(second, 'state/step')).toBe('drained')
    await job.cancel()
  })

  it('are not waited for when the owner kills a task', async () => {
    const { submit, write, read, hostOf } = await setup(() => ({ hang: true }))
    const job = await submit({ checkpoint: { paths: ['/out/state/**'], every: '1h' } })
    const first = await running(job, 1)
    await write(first, 'state/step', 'killed')
    await hostOf(first).kill(first.attempt)
    const second = await running(job, 2)
    await expect(read(second, 'state/step')).rejects.toThrow('ENOENT')
    await job.cancel()
  })

  it('come when the owner pauses a task, and when the client stops its job', async () => {
    const { submit, write, read, hostOf } = await setup(() => ({ hang: true }))
    const job = await submit({ checkpoint: { paths: ['/out/state/**'], every: '1h' } })
    const first = await running(job, 1)
    await write(first, 'state/step', 'p')
    await hostOf(first).pause(first.attempt)
    await saved(job, 1)
    await hostOf(first).resume(first.attempt)
    await write(first, 'state/step', 'stopped')
    await job.pause({ stop: true })
    await job.resume()
    const second = await running(job, 2)
    expect(await read(second, 'state/step')).toBe('stopped')
    await job.cancel()
  })

  it('outlive the client: the next process goes on from them', async () => {
    const { submit, write, read, hostOf, hosts, dir, client } = await setup(
      () => ({ hang: true }),
      {
        clientState: true,
      },
    )
    const job = await submit()
    const first = await running(job, 1)
    await write(first, 'state/step', '1')
    await saved(job, 1)
    await client.close()
    await hostOf(first).kill(first.attempt)
    await using again = await createClient({
      state: join(dir, 'client'),
      network: { bootstrap: hosts[0]!.addresses },
      lease: { heartbeat: '200ms' },
    })
    const same = await again.job(job.id)
    const second = await running(same, 2)
    expect(await read(second, 'state/step')).toBe('1')
    await same.cancel()
  })

  it('that lead nowhere are dropped before they cost all attempts of a task', async () => {
    const { submit, write, hostOf, seen } = await setup((_, found) =>
      found === undefined && seen.length > 1
        ? { write: { 'out/x': 'x' } }
        : found === undefined
          ? { hang: true }
          : { exit: 1 },
    )
    const job = await submit({ retry: { attempts: LIMITS.checkpointStarts + 1 } })
    const first = await running(job, 1)
    await write(first, 'state/step', 'bad')
    await saved(job, 3)
    await hostOf(first).kill(first.attempt)
    expect((await job.wait()).counts.completed).toBe(1)
    expect(seen.map(({ env }) => env['MANYHANDS_CHECKPOINT'])).toEqual([
      undefined,
      '1',
      '1',
      undefined,
    ])
  })

  it('keep to the disk of an attempt, and what is too large leaves the one before', async () => {
    const { submit, write, hostOf, read } = await setup(() => ({ hang: true }))
    const job = await submit()
    const first = await running(job, 1)
    await write(first, 'state/step', '1')
    await saved(job, 1)
    await write(first, 'state/large', 'x'.repeat(17 * 1024 ** 2))
    await hostOf(first).pause(first.attempt)
    await hostOf(first).drain({ deadline: '50ms' })
    await job.pause()
    expect(job.counts.queued).toBe(1)
    const events: JobEvent[] = []
    for await (const event of job.events()) {
      events.push(event)
      if (event.kind === 'job' && event.phase === 'paused') break
    }
    expect(events.filter(({ kind }) => kind === 'checkpoint')).toHaveLength(1)
    await expect(read(first, 'state/step')).rejects.toThrow('ENOENT')
    await job.cancel()
  })
})

describe.skipIf(!liveTreesSupported)('the disk of an attempt', () => {
  const KIB = 1024
  it('is not taken twice: what its task writes takes the place of its checkpoints', async () => {
    const script: Script = { hang: true, disk: 0 }
    const { submit, write, holds, dir } = await setup(() => script, { clientState: true })
    // Looks for outputs would make room as well.
    const job = await submit({ resources: { disk: '1MiB' }, streamOutputs: false })
    const first = await running(job, 1)
    await write(first, 'state/step', 'x'.repeat(400 * KIB))
    const { root } = await saved(job, 400 * KIB)
    // The client has it, and what does not change need not be copied again.
    expect(await holds(0, root)).toBe(true)
    script.disk = 700 * KIB
    await expect.poll(() => holds(0, root), { timeout: 20_000 }).toBe(false)
    // The task goes on from it all the same.
    expect(await stored(join(dir, 'client'), root)).toBe(true)
    await job.cancel()
  })
})

describe('a task that asks to be continued', () => {
  const spec = (over: Partial<JobSpec> = {}) => ({
    checkpoint: { paths: ['/out/state/**'], every: '1h', continueCode: 75 },
    retry: { attempts: 1 },
    ...over,
  })

  it('goes on from what it left, at nobody’s expense, more often than a task is sent out', async () => {
    const times = LIMITS.dispatchesPerTask + 3
    const { submit, seen } = await setup((): Script => {
      const step = `${seen.length}`
      if (seen.length < times) return { write: { 'out/state/step': step }, exit: 75 }
      return { write: { 'out/end': 'end' } }
    })
    const job = await submit(spec({ tasks: ['t'] }))
    const [result] = await Array.fromAsync(job.results())
    expect(result).toMatchObject({ ok: true, attempts: times })
    // The rest of it stays where the task had it.
    expect(result!.outputs.files.map(({ path }) => path)).toEqual(['end', 'state/step'])
    expect(Buffer.from(await result!.outputs.read('state/step')).toString()).toBe(`${times - 1}`)
    const receipt = result!.receipt!
    expect(receipt.checkpoint).toBe(result!.timeline!.startedFrom!.root)
  })

  it('is not given up by the next process of its client for having been continued', async () => {
    const times = LIMITS.dispatchesPerTask + 3
    const { submit, seen, client, dir, hosts, hostOf } = await setup(
      (): Script =>
        seen.length < times
          ? { write: { 'out/state/step': `${seen.length}` }, exit: 75 }
          : { hang: true },
      { clientState: true },
    )
    const job = await submit(spec())
    await running(job, times)
    await client.close()
    await using again = await createClient({
      state: join(dir, 'client'),
      network: { bootstrap: hosts[0]!.addresses },
      lease: { heartbeat: '200ms' },
    })
    const same = await again.job(job.id)
    const before = await running(same, times)
    await hostOf(before).kill(before.attempt)
    const after = await running(same, times + 1)
    expect(seen.at(-1)!.env['MANYHANDS_CHECKPOINT']).toBe('1')
    expect(after.attempt).not.toBe(before.attempt)
    await same.cancel()
  })

  it('and leaves what it began with, or nothing, has failed', async () => {
    const same = await setup(() => ({ write: { 'out/state/step': 'same' }, exit: 75 }))
    const [first] = await Array.fromAsync((await same.submit(spec())).results())
    expect(first!.error).toMatchObject({ code: 'TASK_FAILED' })
    expect(first!.error!.message).toContain('left what it had begun with')
    expect(same.seen).toHaveLength(2)
    const nothing = await setup(() => ({ exit: 75 }))
    const [second] = await Array.fromAsync((await nothing.submit(spec())).results())
    expect(second!.error!.message).toContain('left no checkpoint')
  })
})
