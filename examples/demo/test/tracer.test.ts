import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DEFAULT_RESOURCES } from '@manyhands/core'
import { wasm } from '@manyhands/wasm-runtime'
import { decode } from 'fast-png'
import { expect, it } from 'vitest'
import { buildTracer } from '../build-tracer.ts'

/** What the tracer wrote and said for these options. */
async function render(options: string[]) {
  await using cleanup = new AsyncDisposableStack()
  const outDir = await mkdtemp(join(tmpdir(), 'manyhands-tracer-'))
  cleanup.defer(() => rm(outDir, { recursive: true }))
  const runtime = wasm()
  cleanup.defer(() => runtime.close())
  await runtime.open({ hostInstance: 'test', stateDir: outDir })
  const task = await runtime.start(
    {
      attemptId: 'frame.1',
      labels: { host: 'test', client: 'client', job: 'job', attempt: 'frame.1' },
      image: await buildTracer(),
      command: ['tracer', ...options],
      env: {},
      resources: DEFAULT_RESOURCES,
      gpuIds: [],
      maxRuntimeMs: 60_000,
      networkProfile: 'none',
    },
    { inDir: undefined, outDir },
    { signal: new AbortController().signal },
  )
  let text = ''
  for await (const { bytes } of task.output()) text += Buffer.from(bytes).toString()
  const { exitCode } = await task.wait()
  const file = await readFile(join(outDir, 'frame-0003.png')).catch(() => undefined)
  return { exitCode, text, file }
}

const SMALL = ['--frames', '8', '--width', '32', '--height', '18', '--samples', '2']

it('renders a frame as a PNG, the same bytes each time', async () => {
  const first = await render(['--frame', '3', ...SMALL])
  expect(first).toMatchObject({ exitCode: 0, text: expect.stringContaining('frame 3: 100 %') })
  const { width, height, channels, data } = decode(first.file!)
  expect({ width, height, channels }).toEqual({ width: 32, height: 18, channels: 3 })
  expect(new Set(data).size).toBeGreaterThan(50)
  expect((await render(['--frame', '3', ...SMALL])).file).toEqual(first.file)
})

it('says what is wrong with its options', async () => {
  expect(await render(SMALL)).toMatchObject({
    exitCode: 1,
    text: 'tracer: --frame is missing\n',
    file: undefined,
  })
})
