/** A host with containers in a process of its own: options as JSON in argv, one line when ready. */
import { createInterface } from 'node:readline'
import { docker } from '@manyhands/docker-runtime'
import { createHost, type HostOptions } from '@manyhands/host'

const { listen, socketPath, ...options } = JSON.parse(process.argv[2]!) as {
  listen: string
  socketPath?: string
} & HostOptions
const host = await createHost({
  share: { cpus: 4, memory: '2GiB', disk: '2GiB' },
  ...options,
  runtimes: [docker(socketPath === undefined ? {} : { socketPath })],
  network: { listen: [listen], gossip: false },
})
const { peerId, instance, addresses } = host
process.stdout.write(`${JSON.stringify({ peerId, instance, addresses })}\n`)
// Whoever started it tells it what to do and sees what it has, a line for a line.
for await (const line of createInterface({ input: process.stdin })) {
  const [method, ...args] = JSON.parse(line) as ['see' | 'pause' | 'limit' | 'kill', ...never[]]
  if (method !== 'see') await (host[method] as (...args: never[]) => Promise<void>)(...args)
  process.stdout.write(`${JSON.stringify({ attempts: host.attempts(), offer: host.offer })}\n`)
}
