import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inflateRawSync } from 'node:zlib'
import type { Client, Job } from '@manyhands/client'
import { decodeDocument, type JobSpec, type TaskSpec } from '@manyhands/core'
import { expect, it } from 'vitest'
import { z } from 'zod'
import { networkForTests } from './network-for-tests.ts'

const tested = networkForTests()
const { network } = tested

/** What an item does, with an input that is its own. */
type Doing = 'end' | 'fail' | 'hang'
const COMMANDS: Record<Doing, string[]> = {
  end: ['run', '--cat', '/in/own'],
  fail: ['run', '--exit', '3'],
  hang: ['run', '--hang'],
}
const spec = (
  tasks: JobSpec<Doing>['tasks'],
  own: (index: number) => TaskSpec['inputs'] = (index) => ({ '/in/own': { text: `own ${index}` } }),
): JobSpec<Doing> => ({
  runtime: 'scripted',
  image: 'any',
  tasks,
  resources: { cpus: 0.1, memory: '1MiB', disk: 0, pids: 1 },
  retry: { attempts: 1 },
  task: (doing, index) => ({ key: `${index}`, command: COMMANDS[doing], inputs: own(index) }),
})
/** How many inputs an owner key tells of. */
function inputsIn(ownerKey: string): number {
  const packed = Buffer.from(ownerKey.slice('mhjob1.'.length), 'base64url')
  return decodeDocument(z.any(), inflateRawSync(packed), 'owner key').rows.inputs.length
}
const held = async (client: Client) => {
  const { sections } = await client.gc({ dryRun: true })
  const inputs = sections[0]!.kept.find(({ reason }) => reason.startsWith('inputs'))
  return inputs?.artifacts ?? 0
}

it('what a task alone takes is let go of with its result, where it need not run again', async () => {
  const { client } = await network()
  const job = await client.submit(spec(['end', 'hang', 'end', 'fail', 'end']))
  await expect.poll(() => job.counts).toMatchObject({ completed: 3, failed: 1, running: 1 })
  // What hangs, and what may be tried again.
  await expect.poll(() => held(client)).toBe(2)
  await job.retry({ failed: true })
  await expect.poll(() => job.counts).toMatchObject({ completed: 3, failed: 1, running: 1 })
  expect(await held(client)).toBe(2)
  await job.cancel()
  await job.wait()
  await expect.poll(() => held(client)).toBe(0)
})

it('what several take stays until the last of them has ended', async () => {
  const { client, hosts } = await network()
  const same = () => ({ '/in/own': { text: 'the same' }, '/in/again': { text: 'the same' } })
  const job = await client.submit(spec(['end', 'hang', 'end'], same))
  await expect.poll(() => job.counts).toMatchObject({ completed: 2, running: 1 })
  expect(await held(client)).toBe(1)
  // It needs them again, and finds them.
  const [attempt] = hosts[0]!.attempts()
  await hosts[0]!.kill(attempt!.id)
  await expect.poll(() => job.counts.running).toBe(1)
  await expect.poll(() => hosts[0]!.attempts().map(({ phase }) => phase)).toContain('running')
  await job.cancel()
})

it('however many tasks a generator makes, what is held of them is what is not over', async () => {
  const { client } = await network()
  const [count, ahead] = [100, 10]
  let given = 0
  const read = Promise.withResolvers<Job<Doing>>()
  async function* items(): AsyncGenerator<Doing> {
    const job = await read.promise
    for (; given < count; given += 1) {
      await expect.poll(() => given - job.counts.completed, { interval: 1 }).toBeLessThan(ahead)
      yield 'end'
    }
  }
  const job = await client.submit(spec(items()))
  read.resolve(job)
  const samples: number[] = []
  for await (const { ok, stdoutTail, key } of job.results()) {
    expect([ok, stdoutTail]).toEqual([true, `own ${key}`])
    if (Number(key) % 10 === 9) samples.push(await held(client))
  }
  expect(given).toBe(count)
  expect(Math.max(...samples)).toBeLessThan(2 * ahead)
  await expect.poll(() => held(client)).toBe(0)
})

it('where results are checked all of it stays, as any task may run again', async () => {
  const { client } = await network()
  const job = await client.submit({
    ...spec(['end', 'end', 'end']),
    accept: 'provisional',
    verify: {},
    hosts: { wait: '1h' },
  })
  await expect.poll(() => job.counts.completed).toBe(3)
  expect(await held(client)).toBe(3)
  await job.cancel()
})

it('where somebody may have the owner key all of it stays, as a result may be lost with its host', async () => {
  const { client } = await network()
  let go = false
  const job = await client.submit({
    ...spec(['end', 'end', 'hang']),
    hosts: { wait: '1h', where: () => go },
  })
  await job.ownerKey()
  go = true
  await expect.poll(() => job.counts).toMatchObject({ completed: 2, running: 1 })
  expect(await held(client)).toBe(3)
  // Also who gets the key now learns of all.
  expect(inputsIn(await job.ownerKey())).toBe(3)
  await job.cancel()
  await job.wait()
  await expect.poll(() => held(client)).toBe(0)
})

it('the next process holds what is not over, and nothing else', async () => {
  const { addClient } = await network()
  const state = join(tested.dir, 'client')
  const first = await addClient({ state })
  await first.waitForHosts({ min: 1 })
  const { id } = await first.submit(spec(['end', 'hang', 'end']))
  await expect.poll(async () => (await first.job(id)).counts.completed).toBe(2)
  await expect.poll(() => held(first)).toBe(1)
  await first.close()
  const second = await addClient({ state })
  const { task } = spec([])
  const job = await second.job(id, { task })
  await expect.poll(() => held(second)).toBe(1)
  await job.cancel()
})

it('what was not read when a job has failed is held when it is read after all', async () => {
  const { client } = await network()
  let asked = 0
  let where = (): boolean => false
  // More than are read before the first has ended.
  const first = 1_500
  for (const name of ['first', 'later']) await writeFile(join(tested.dir, name), name)
  const own = (index: number) => join(tested.dir, index < first ? 'first' : 'later')
  const { runtime, image, resources } = spec([])
  const job = await client.submit<number>({
    ...{ runtime, image, resources },
    tasks: '0-999999',
    task: (item) => {
      asked += 1
      return { key: `${item}`, command: COMMANDS.end, inputs: { '/in/own': own(item) } }
    },
    hosts: { where: () => where() },
  })
  await expect.poll(() => asked, { timeout: 20_000 }).toBeGreaterThan(1_000)
  where = () => {
    throw new RangeError('not now')
  }
  expect((await job.wait()).phase).toBe('failed')
  expect(asked).toBeLessThan(first)
  where = () => true
  await job.retry({ failed: true })
  for await (const { key, ok, stdoutTail } of job.results()) {
    if (Number(key) < first) continue
    expect([ok, stdoutTail]).toEqual([true, 'later'])
    break
  }
  await job.cancel()
})
