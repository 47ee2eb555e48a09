/** Runs one task and does not close the runtime: the process has to end all the same. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DEFAULT_RESOURCES } from '@manyhands/core'
import { wasm } from '../src/index.ts'

const outDir = await mkdtemp(join(tmpdir(), 'manyhands-wasm-'))
const runtime = wasm()
await runtime.open({ hostInstance: 'test', stateDir: outDir })
const task = await runtime.start(
  {
    attemptId: 'only.1',
    labels: { host: 'test', client: 'client', job: 'job', attempt: 'only.1' },
    image: process.argv[2]!,
    command: ['program', 'exit', '0'],
    env: {},
    resources: DEFAULT_RESOURCES,
    gpuIds: [],
    maxRuntimeMs: 60_000,
    networkProfile: 'none',
  },
  { inDir: undefined, outDir },
  { signal: new AbortController().signal },
)
const { exitCode } = await task.wait()
await rm(outDir, { recursive: true })
console.log(`ended with ${exitCode}`)
