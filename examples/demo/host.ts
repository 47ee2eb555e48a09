/**
 * Lends one core of this computer for WebAssembly tasks, for as long as its standard input is open: so
 * it ends with whoever started it, however that one ends. The first line of output says where it is.
 */
import { createHost } from '@manyhands/host'
import { wasm } from '@manyhands/wasm-runtime'

await using host = await createHost({
  runtimes: [wasm()],
  share: { cpus: 1, memory: '512MiB', disk: '512MiB' },
  policy: { maxRuntime: '2m' },
  network: { listen: [process.argv[2] ?? '/ip4/127.0.0.1/tcp/0'] },
})
console.log(JSON.stringify({ event: 'ready', peerId: host.peerId, addresses: host.addresses }))

// A terminal sends its interrupt to every process: when to go is for the one who started this to say.
process.on('SIGINT', () => {})
await new Promise((resolve) => process.stdin.once('close', resolve).resume())
