import type { JobSpec } from '@manyhands/core'
import { wasm } from '@manyhands/wasm-runtime'
import { expect, it, onTestFinished } from 'vitest'
import { testProgram } from '../../wasm-runtime/test/programs.ts'
import { createLocalNetwork } from '../src/index.ts'

async function setup() {
  const image = await testProgram()
  const network = await createLocalNetwork({ hosts: 2, runtimes: () => [wasm()] })
  onTestFinished(() => network.close())
  const spec = (length: number): JobSpec => ({
    runtime: 'wasm',
    image,
    command: ['program', 'segments', `${length}`],
    retry: { attempts: 1 },
    checkpoint: { paths: ['/out/state/**'], every: '1h', continueCode: 75 },
    tasks: '1-2',
  })
  return { ...network, spec }
}

it('a module that ends to be continued finds what it left, wherever it goes on', async () => {
  const { client, spec } = await setup()
  const segments = 5
  const job = await client.submit(spec(segments))
  const results = await Array.fromAsync(job.results())
  expect(results.map(({ ok, attempts }) => [ok, attempts])).toEqual([
    [true, segments],
    [true, segments],
  ])
  for (const { outputs, receipt, timeline } of results) {
    const left = Buffer.from(await outputs.read('state/step')).toString()
    expect(left).toBe('x'.repeat(segments))
    expect(receipt!.checkpoint).toBe(timeline!.startedFrom!.root)
  }
})

it('a module that only wants to be saved while it runs waits for a host that can do that', async () => {
  const { client, spec } = await setup()
  const checkpoint = { paths: ['/out/state/**'], every: '1h' }
  const job = await client.submit({ ...spec(1), checkpoint })
  const reasons = async () => (await job.why('1')).map(({ reason }) => reason)
  const why = expect.stringContaining('shows here nothing of what a task has written')
  await expect.poll(reasons, { timeout: 20_000 }).toEqual([why, why])
  expect(job.counts).toMatchObject({ queued: 2, failed: 0 })
  await job.cancel()
})
