/** Both roles in one program, nothing installed: a host lends this computer, a client renders on it. */
import assert from 'node:assert/strict'
import { createClient } from '@manyhands/client'
import { createHost } from '@manyhands/host'
import { wasm } from '@manyhands/wasm-runtime'
import { buildTracer } from './demo/build-tracer.ts'

const tracer = await buildTracer()

await using host = await createHost({
  runtimes: [wasm()],
  share: { cpus: 2, memory: '2GiB', disk: '2GiB' },
  network: { listen: ['/ip4/127.0.0.1/tcp/0'] },
})
await using client = await createClient({ network: { bootstrap: host.addresses } })

const job = await client.submit({
  runtime: 'wasm',
  image: tracer,
  command: [
    'tracer',
    '--frame',
    '{{item}}',
    '--frames',
    '4',
    '--width',
    '96',
    '--height',
    '54',
    '--samples',
    '4',
  ],
  tasks: '1-4',
})
for await (const result of job.results()) {
  assert(result.ok, `${result.error?.message}: ${result.stderrTail}`)
  const files = result.outputs.files.map(({ path, size }) => `${path} (${size} bytes)`)
  console.log(`frame ${result.key}: ${files.join(', ')} in ${result.durationMs} ms`)
  await result.outputs.saveTo('out/hello')
}
console.log(`${job.counts.completed} frames in out/hello`)
