/** A client of a storm: begins the job or goes on with it, and tells of each result and of the end. */
import { createClient } from '@manyhands/client'

const { state, bootstrap, tasks } = JSON.parse(process.argv[2]!) as {
  state: string
  bootstrap: string[]
  tasks: string
}
const tell = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`)
const client = await createClient({
  state,
  network: { bootstrap, gossip: false },
  lease: { heartbeat: '200ms' },
})
// The same key is the same job, whoever began it.
const job = await client.submit({
  key: 'storm',
  runtime: 'scripted',
  image: 'any',
  command: ['run', '{{item}}'],
  resources: { cpus: 1, memory: '1MiB', disk: '1MiB' },
  tasks,
})
tell({ id: job.id })
for await (const { key, ok, host, durationMs, outputs, error } of job.results()) {
  const made = ok ? new TextDecoder().decode(await outputs.read('result')) : undefined
  tell({ key, ok, host, durationMs, made, error: error?.message })
}
tell({ phase: job.phase, counts: job.counts })
await client.close()
