/** A docker runtime in a process of its own that starts containers and then waits to be killed. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import process from 'node:process'
import { DEFAULT_RESOURCES } from '@manyhands/core'
import { type DockerOptions, docker } from '../../src/index.ts'
import { sh } from '../busybox-programs.ts'

const { root, hostInstance, options } = JSON.parse(process.argv[2]!) as {
  root: string
  hostInstance: string
  options: DockerOptions
}
const runtime = docker(options)
await runtime.open({ hostInstance, stateDir: root })
const ids: string[] = []
for (const attempt of ['a.1', 'b.1']) {
  const outDir = join(root, attempt, 'out')
  await mkdir(outDir, { recursive: true })
  const task = await runtime.start(
    {
      attemptId: attempt,
      labels: { host: hostInstance, client: 'c', job: 'j', attempt },
      ...sh('echo x >/out/x; sleep 1000'),
      env: {},
      resources: { ...DEFAULT_RESOURCES, memoryBytes: 64 * 1024 ** 2, diskBytes: 16 * 1024 ** 2 },
      gpuIds: [],
      maxRuntimeMs: 600_000,
      networkProfile: 'none',
    },
    { inDir: undefined, outDir },
    { signal: new AbortController().signal },
  )
  ids.push(task.handle.id)
}
process.stdout.write(`${JSON.stringify(ids)}\n`)
setInterval(() => {}, 1000)
