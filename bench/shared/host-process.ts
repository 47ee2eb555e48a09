/**
 * One host in a process of its own: prints one JSON document when it is ready and runs until stdin
 * closes. `HostProcessOptions` come as its first argument.
 */
import { createControlServer } from '@manyhands/control'
import { docker } from '@manyhands/docker-runtime'
import { createHost } from '@manyhands/host'
import { scripted } from '@manyhands/testing'
import { wasm } from '@manyhands/wasm-runtime'
import { socketPath } from './engine.ts'
import type { HostProcessOptions, ReadyHost } from './host-processes.ts'

const options = JSON.parse(process.argv[2] ?? '{}') as HostProcessOptions
const { cpus } = options
const runtimes = {
  docker: () => docker({ socketPath: options.engine ?? socketPath }),
  scripted,
  wasm,
}
const began = performance.now()
const host = await createHost({
  runtimes: options.runtimes.map((name) => runtimes[name]()),
  share: { cpus, memory: options.memory ?? `${cpus}GiB`, disk: options.disk ?? `${cpus}GiB` },
  network: {
    listen: options.listen ?? ['/ip4/127.0.0.1/tcp/0'],
    mdns: options.mdns ?? false,
    gossip: false,
  },
  ...(options.state === undefined ? {} : { state: options.state }),
})
const control = options.control ? await createControlServer({ host }) : undefined
const ready: ReadyHost = {
  addresses: host.addresses,
  instance: host.instance,
  openMs: performance.now() - began,
  cpuMs: (process.cpuUsage().user + process.cpuUsage().system) / 1000,
  control: { url: control?.url ?? '', token: control?.token ?? '' },
}
process.stdout.write(`${JSON.stringify(ready)}\n`)
process.stdin.resume()
process.stdin.once('end', async () => {
  await control?.close()
  await host.close()
  process.exit(0)
})
