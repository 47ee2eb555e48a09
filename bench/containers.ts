/**
 * Trivial containers through `docker()`, hardened, watched and metered as a host does it, against a
 * bare loop over the engine's API. Promise: at least 0.9 of the bare rate.
 */
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DEFAULT_RESOURCES, type Runtime, type RuntimeTask } from '@manyhands/core'
import { docker } from '@manyhands/docker-runtime'
import Docker from 'dockerode'
import { ensureBusybox } from '../scripts/docker-images.ts'
import { bareContainers, type ContainerRate, inParallel, median } from './containers-bare.ts'

const COUNT = 40
const CONCURRENCY = 4
const ROUNDS = 3

const engine = new Docker({ socketPath: '/var/run/docker.sock' })
const image = await ensureBusybox(engine)
const root = await mkdtemp(join(tmpdir(), 'manyhands-bench-'))
const hostInstance = randomUUID()
const runtime = docker()
await runtime.open({ hostInstance, stateDir: root })
const bare: number[] = []
const through: number[] = []
try {
  await bareContainers(engine, { image, count: 8, concurrency: CONCURRENCY })
  await throughRuntime(runtime, 'warm', 8)
  // Interleaved, and turned round each time, so that a slow moment of the machine hits both.
  for (let round = 0; round < ROUNDS; round += 1) {
    const measureBare = async () =>
      bare.push(
        (await bareContainers(engine, { image, count: COUNT, concurrency: CONCURRENCY })).perSecond,
      )
    const measureThrough = async () =>
      through.push((await throughRuntime(runtime, `round-${round}`, COUNT)).perSecond)
    for (const measure of round % 2 === 0
      ? [measureBare, measureThrough]
      : [measureThrough, measureBare]) {
      await measure()
    }
  }
} finally {
  await runtime.close()
  await rm(root, { recursive: true, force: true })
}

const rounded = (value: number) => Math.round(value * 1000) / 1000
console.log(
  JSON.stringify({
    bench: 'containers',
    count: COUNT,
    concurrency: CONCURRENCY,
    rounds: ROUNDS,
    runtimePerSecond: rounded(median(through)),
    barePerSecond: rounded(median(bare)),
    ratio: rounded(median(through) / median(bare)),
    promise: 0.9,
    all: { runtime: through.map(rounded), bare: bare.map(rounded) },
  }),
)

function throughRuntime(target: Runtime, name: string, count: number): Promise<ContainerRate> {
  const running = new Set<RuntimeTask>()
  const polling = setInterval(() => {
    for (const task of running) task.stats().catch(() => {})
  }, 1000)
  return inParallel(count, CONCURRENCY, async (index) => {
    const attemptId = `${name}-${index}.1`
    const task = await target.start(
      {
        attemptId,
        labels: { host: hostInstance, client: 'bench', job: name, attempt: attemptId },
        image,
        command: ['/bin/true'],
        env: {},
        resources: DEFAULT_RESOURCES,
        gpuIds: [],
        maxRuntimeMs: 60_000,
        networkProfile: 'none',
      },
      { inDir: undefined, outDir: join(root, attemptId) },
      { signal: new AbortController().signal },
    )
    running.add(task)
    for await (const _ of task.output()) {
      // A host reads what its tasks write.
    }
    const exit = await task.wait()
    running.delete(task)
    if (exit.exitCode !== 0)
      throw new Error(`a trivial container ended with ${JSON.stringify(exit)}`)
    await task.remove()
  }).finally(() => clearInterval(polling))
}
