/** One host in a process of its own: prints its addresses as JSON and runs until stdin closes. */
import { createHost } from '@manyhands/host'
import { scripted } from '@manyhands/testing'
import { wasm } from '@manyhands/wasm-runtime'

const { runtime, cpus } = JSON.parse(process.argv[2] ?? '{}') as { runtime: string; cpus: number }
const host = await createHost({
  runtimes: [runtime === 'wasm' ? wasm() : scripted()],
  share: { cpus, memory: `${cpus}GiB`, disk: `${cpus}GiB` },
  network: { listen: ['/ip4/127.0.0.1/tcp/0'], gossip: false },
})
process.stdout.write(`${JSON.stringify({ addresses: host.addresses })}\n`)
process.stdin.resume()
process.stdin.once('end', () => void host.close().then(() => process.exit(0)))
