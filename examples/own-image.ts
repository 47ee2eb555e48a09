/**
 * An image that only this computer's engine has runs on hosts: no registry, no push, only the layers that
 * a host lacks. With the socket of another engine as argument the host uses that one, and layers travel;
 * without, host and client share an engine, and the image is there already.
 */
import assert from 'node:assert/strict'
import { createClient } from '@manyhands/client'
import { docker } from '@manyhands/docker-runtime'
import { createHost } from '@manyhands/host'
import Docker from 'dockerode'
import { buildImage, ensureBusybox } from '../scripts/docker-images.ts'

const engine = new Docker({ socketPath: '/var/run/docker.sock' })
if (!(await engine.ping().catch(() => false))) {
  console.log(
    'skipped: no Docker engine answers; `bash scripts/ensure-docker.sh` installs and starts one',
  )
  process.exit(process.env['CI'] === 'true' ? 1 : 0)
}
const [, , hostSocket] = process.argv
const base = await ensureBusybox(engine)

await using host = await createHost({
  runtimes: [docker(hostSocket === undefined ? {} : { socketPath: hostSocket })],
  share: { cpus: 2, memory: '1GiB', disk: '4GiB' },
  // What images of clients may take here; what was not used for longest goes first.
  policy: { imageCache: '1GiB' },
  network: { listen: ['/ip4/127.0.0.1/tcp/0'] },
})
// The client finds the engine of its computer by itself; `images: [dockerImages({ host })]` names another.
await using client = await createClient({ network: { bootstrap: host.addresses } })

for (const greeting of ['good morning', 'good evening']) {
  // The last layer changes from one to the other: it is all that travels the second time.
  const image = await buildImage(engine, 'my-greeter:1', [
    `FROM ${base}`,
    `ENV GREETING="${greeting}"`,
    'CMD ["/bin/sh", "-c", "echo $GREETING from $(cat /in/name)"]',
  ])
  const job = await client.submit({
    image,
    inputs: { '/in/name': { text: 'an image without a registry' } },
    tasks: ['one'],
    resources: { cpus: 0.5, memory: '64MiB', pids: 32 },
    timeout: '30s',
  })
  for await (const result of job.results()) {
    assert(result.ok, result.error?.message)
    assert.equal(result.stdoutTail, `${greeting} from an image without a registry\n`)
    console.log(`${result.stdoutTail.trim()} | sent ${job.progress.bytesUp} bytes`)
  }
}
