import { afterEach, expect, it } from 'vitest'
import { createLocalNetwork, type LocalNetwork } from '../src/index.ts'

let open: LocalNetwork | undefined
afterEach(async () => {
  await open?.close()
  open = undefined
})
const share = (cpus: number) => ({ share: { cpus, memory: '1GiB', disk: '1GiB' } })
const spec = { runtime: 'scripted', image: 'any', command: ['run', '--hang'] }
const resources = { memory: '1MiB', disk: 0 }
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
}

it('says of every host why a task is not there, or what it waits for', async () => {
  open = await createLocalNetwork({ hosts: [share(1), share(1), share(4)] })
  const { client, hosts } = open
  const [a, b, c] = hosts.map(({ peerId }) => peerId) as [string, string, string]
  const job = await client.submit<string>({
    ...spec,
    resources: { ...resources, cpus: 1 },
    hosts: { deny: [c] },
    tasks: ['one', 'two', 'three', 'four', 'last'],
    task: (key) => (key === 'last' ? { key, needs: ['one', 'four'] } : { key }),
  })
  await until(() => job.counts.running === 2)
  const why = async (key: string) =>
    Object.fromEntries((await job.why(key)).map(({ host, reason }) => [host, reason]))
  const one = await why('one')
  expect(Object.values(one).filter((reason) => reason === 'runs there now')).toHaveLength(1)
  expect(one[c]).toBe('among hosts.deny')
  const three = await why('three')
  expect(three[a]).toMatch(/^busy: 0 cpus free/)
  expect(three[b]).toMatch(/^busy/)
  expect(await why('last')).toEqual({
    [a]: 'waits for four, one',
    [b]: 'waits for four, one',
    [c]: 'waits for four, one',
  })
  await job.pause()
  expect((await why('three'))[a]).toBe('the job is paused')
  await expect(job.why('nobody')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  await job.cancel()
  expect((await why('three'))[a]).toBe('the task is over: canceled')
})

it('tells when an attempt was in which phase, and in which phase it failed', async () => {
  open = await createLocalNetwork()
  const job = await open.client.submit({
    ...spec,
    tasks: ['run --for 300ms', 'run --for 300ms --exit 3', 'run --fail-start', 'run --exit 3'],
    task: (line: string) => ({ key: line, command: line.split(' ') }),
    retry: { attempts: 1 },
  })
  const results = await Array.fromAsync(job.results({ ordered: true }))
  const [well, failed] = results
  const { running = -1, completed = -1 } = well!.timeline!
  expect(well!.timeline).toMatchObject({ offered: 0 })
  expect(running).toBeGreaterThanOrEqual(0)
  expect(completed - running).toBeGreaterThanOrEqual(40)
  expect(failed!.error).toMatchObject({ blame: 'task', hint: expect.any(String) })
  expect(failed!.error!.details).toMatchObject({
    phase: expect.stringMatching(/running|collecting/),
  })
  expect(results[2]!.ok).toBe(false)
  const events = await Array.fromAsync(job.events())
  // It has ended before anybody heard that it runs.
  expect(results[3]!.error!.details).toMatchObject({
    phase: expect.stringMatching(/running|collecting/),
  })
  expect(results[3]!.timeline!.running).toBeGreaterThanOrEqual(0)
  const short = events.flatMap((event) =>
    event.kind === 'attempt' && event.task === 'run --exit 3' ? [event.phase] : [],
  )
  expect(short).toContain('running')
  expect(short.at(-1)).toBe('failed')
  const ends = events.filter((event) => event.kind === 'attempt' && event.timeline !== undefined)
  expect(ends.length).toBeGreaterThanOrEqual(4)
})
