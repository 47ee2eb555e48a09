/** Warm sandboxes: a model is loaded once in each, by a server that stays, and asked by many short tasks. */
import assert from 'node:assert/strict'
import { createClient } from '@manyhands/client'
import { docker } from '@manyhands/docker-runtime'
import { createHost } from '@manyhands/host'
import Docker from 'dockerode'
import { ensureBusybox } from '../scripts/docker-images.ts'

const engine = new Docker({ socketPath: '/var/run/docker.sock' })
if (!(await engine.ping().catch(() => false))) {
  console.log(
    'skipped: no Docker engine answers; `bash scripts/ensure-docker.sh` installs and starts one',
  )
  process.exit(process.env['CI'] === 'true' ? 1 : 0)
}
const image = await ensureBusybox(engine)

await using host = await createHost({
  runtimes: [docker()],
  share: { cpus: 1, memory: '512MiB', disk: '1GiB' },
  network: { listen: ['/ip4/127.0.0.1/tcp/0'] },
})
await using client = await createClient({ network: { bootstrap: host.addresses } })

// Runs once in each sandbox, before its first task: slow to start, and there for all that follow.
const load = `
  sleep 1
  cp /in/model /tmp/model; date +%s%N >> /tmp/loads
  nc -ll -p 7000 -e cat /tmp/model &
  until grep -q :1B58 /proc/net/tcp*; do sleep 0.1; done`
// Each task has its own /out; what it begins ends with it, what the setup began goes on.
const ask = `
  nc 127.0.0.1 7000 </dev/null > /out/answer-{{item}}.txt
  wc -l < /tmp/loads`

const begun = performance.now()
let loads = 0
let tasks = 0
for await (const result of client.map(
  Array.from({ length: 40 }, (_, n) => n + 1),
  {
    image,
    command: ['/bin/sh', '-c', ask],
    timeout: '10s',
    inputs: { '/in/model': { text: 'the weights of a model\n' } },
    resources: { cpus: 0.5, memory: '64MiB', disk: '64MiB', pids: 32 },
    warm: { setup: ['/bin/sh', '-c', load], tasksPerSandbox: 100 },
  },
)) {
  assert(result.ok, result.error?.message)
  const [file, ...more] = result.outputs.files
  assert.equal(file!.path, `answer-${result.item}.txt`)
  assert.deepEqual(more, [])
  const answer = new TextDecoder().decode(await result.outputs.read(file!.path))
  assert.equal(answer, 'the weights of a model\n')
  loads = Math.max(loads, Number(result.stdoutTail))
  tasks += 1
}
const seconds = (performance.now() - begun) / 1000
console.log(
  `${tasks} tasks in ${seconds.toFixed(1)} s; the model was loaded ${loads} time in each sandbox`,
)
assert.equal(loads, 1)
// One after the other, loading alone would have taken twenty seconds in each of two slots.
assert(seconds < 20)
