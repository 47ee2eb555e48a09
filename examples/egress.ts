/** A way out for a task, by name and nothing else: its own network stays off. */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
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

// Something to reach, on this computer so that the example needs no other.
const site = createServer((_, response) => response.end('hello from outside\n'))
await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve))
const { port } = site.address() as AddressInfo

await using host = await createHost({
  // Private and loopback addresses are refused unless the owner names them.
  runtimes: [docker({ egress: { allowNetworks: ['127.0.0.0/8'] } })],
  policy: { networkProfiles: ['none', 'egress'] },
  share: { cpus: 2, memory: '1GiB', disk: '2GiB' },
  network: { listen: ['/ip4/127.0.0.1/tcp/0'] },
})
await using client = await createClient({ network: { bootstrap: host.addresses } })

const job = {
  image,
  command: [
    '/bin/sh',
    '-c',
    'wget -q -O - "http://{{item}}/" 2>&1 || echo refused; ls /sys/class/net',
  ],
  networkProfile: { egress: [`localhost:${port}`] },
  resources: { cpus: 0.5, memory: '64MiB', pids: 32 },
}
for await (const result of client.map([`localhost:${port}`, 'example.org'], job)) {
  assert(result.ok, result.error?.message)
  const lines = result.stdoutTail.trim().split('\n')
  console.log(`${result.item}: ${lines[0]} | its own network: ${lines.at(-1)}`)
  const listed = result.item.startsWith('localhost')
  assert.equal(lines[0] === 'hello from outside', listed)
  assert.equal(lines.at(-1), 'lo')
}
site.close()
