import { mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Job, JobEvent } from '@manyhands/client'
import { createLocalNetwork } from '@manyhands/testing'
import { expect, it } from 'vitest'

type OutputEvent = Extract<JobEvent, { kind: 'output' }>

/** Waits for so many files of a job. */
async function outputsOf(job: Job, count: number): Promise<OutputEvent[]> {
  const found: OutputEvent[] = []
  for await (const event of job.events()) {
    if (event.kind === 'output') found.push(event)
    if (found.length === count) return found
  }
  throw new Error(`the job ended after ${found.length} of ${count} files`)
}

it('reach the client while the task runs', async () => {
  await using network = await createLocalNetwork()
  const job = await network.client.submit({
    runtime: 'scripted',
    image: 'any',
    command: ['run', '--hang', '--write', 'frames/1.png=one', '--write', 'note.txt=two'],
    outputs: ['/out/frames/*.png'],
    tasks: ['a'],
  })
  const [event] = await outputsOf(job, 1)
  expect(job.counts.running).toBe(1)
  expect(event).toMatchObject({ task: 'a', path: 'frames/1.png', bytes: 3, executable: false })
  expect(event!.file.state).toBe('arrived')
  expect(Buffer.from(await event!.file.bytes()).toString()).toBe('one')
  const target = join(await mkdtemp(join(tmpdir(), 'manyhands-streamed-')), 'x.png')
  await event!.file.saveTo(target)
  expect(await readFile(target, 'utf8')).toBe('one')
  await job.cancel()
  expect(event!.file.state).toBe('provisional')
})
