import { mkdtempSync } from 'node:fs'
import { wasm } from './src/index.ts'

const [image, ...command] = process.argv.slice(2)
const outDir = mkdtempSync('/tmp/wt/out-')
const rt = wasm()
await rt.open({ hostInstance: 'x', stateDir: '/tmp' })
for (let i = 0; i < Number(process.env.N ?? 1); i++) {
  const t0 = performance.now()
  const task = await rt.start(
    {
      attemptId: 'a' + i,
      labels: { host: '', client: '', job: '', attempt: '' },
      image,
      command,
      env: {},
      resources: {
        cpus: 1,
        memoryBytes: Number(process.env.MEM ?? 256) * 2 ** 20,
        diskBytes: 2 ** 26,
        gpus: 0,
        pids: 1,
      },
      gpuIds: [],
      maxRuntimeMs: 60000,
      networkProfile: 'none',
    },
    { inDir: undefined, outDir },
    { signal: new AbortController().signal },
  )
  const exit = await task.wait()
  const t1 = performance.now()
  for await (const o of task.output()) process[o.stream].write(o.bytes)
  console.log(exit, (t1 - t0).toFixed(1) + ' ms', JSON.stringify(await task.stats()))
  if (process.env.N) await new Promise((r) => setTimeout(r, 100))
}
await rt.close()
