/**
 * Lends one core of this computer, with its Docker engine, for as long as its standard input is open:
 * so it ends with whoever started it, however that one ends. The first line of output says where it is.
 */
import { docker } from '@manyhands/docker-runtime'
import { createHost } from '@manyhands/host'

await using host = await createHost({
  runtimes: [docker()],
  share: { cpus: 1, memory: '2GiB', disk: '2GiB' },
  policy: { images: ['manyhands-example/gromacs:*'], maxRuntime: '10m' },
  network: { listen: ['/ip4/127.0.0.1/tcp/0'] },
})
const { peerId, addresses, instance } = host
console.log(JSON.stringify({ peerId, addresses, instance }))

process.once('SIGINT', () => process.stdin.destroy())
process.once('SIGTERM', () => process.stdin.destroy())
await new Promise((resolve) => process.stdin.once('close', resolve).resume())
