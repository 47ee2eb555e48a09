/** A container of the host's own engine: hardened, without network, limited, gone afterwards. */
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
  share: { cpus: 2, memory: '1GiB', disk: '2GiB' },
  policy: { images: ['manyhands-test/*'] },
  network: { listen: ['/ip4/127.0.0.1/tcp/0'] },
})
await using client = await createClient({ network: { bootstrap: host.addresses } })

for await (const result of client.map(['ada', 'grace', 'linus'], {
  image,
  command: ['/bin/sh', '-c', 'id; wc -c < /in/poem; echo "hello {{item}}" > /out/hello.txt'],
  inputs: { '/in/poem': { text: 'Many hands make light work.' } },
  resources: { cpus: 0.5, memory: '64MiB', pids: 32 },
  timeout: '30s',
})) {
  assert(result.ok, result.error?.message)
  const [user, bytes] = result.stdoutTail.trim().split('\n')
  const text = new TextDecoder().decode(await result.outputs.read('hello.txt'))
  console.log(
    `${text.trim()} | ${user} | read ${bytes} bytes | peak ${result.usage.memoryPeak} bytes`,
  )
  assert.equal(text, `hello ${result.item}\n`)
  assert(!user!.includes('uid=0'))
}
