/** A secret for a task: a file in memory, in no argv, environment, log, label or journal. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
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
  share: { cpus: 2, memory: '1GiB', disk: '2GiB' },
  network: { listen: ['/ip4/127.0.0.1/tcp/0'] },
})
await using client = await createClient({ network: { bootstrap: host.addresses } })

const token = 'correct horse battery staple'
const summary = client.map(['task'], {
  image,
  // What a program does with a key: read it from its file.
  command: [
    '/bin/sh',
    '-c',
    'sha256sum </run/secrets/api-token; stat -c %a /run/secrets/api-token; env; cat /proc/*/cmdline',
  ],
  secrets: { 'api-token': token },
  resources: { cpus: 0.5, memory: '64MiB', pids: 32 },
})
for await (const result of summary) {
  assert(result.ok, result.error?.message)
  const [hash, mode] = result.stdoutTail.split('\n')
  console.log(`the task read its secret: sha256 ${hash!.slice(0, 16)}…, file mode ${mode}`)
  assert.match(hash!, new RegExp(`^${createHash('sha256').update(token).digest('hex')}`))
  assert.equal(mode, '400')
  assert(!result.stdoutTail.includes(token), 'neither argv nor environment tells it')
}
