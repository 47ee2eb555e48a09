/** A host in a process of its own: options as JSON in argv, one line of JSON when ready. */
import { createHost } from '@manyhands/host'
import { scripted } from '../../src/index.ts'

const { state, listen } = JSON.parse(process.argv[2]!) as { state: string; listen: string }
const host = await createHost({
  runtimes: [scripted()],
  share: { cpus: 4, memory: '8GiB', disk: '8GiB' },
  network: { listen: [listen], gossip: false },
  state,
})
process.stdout.write(`${JSON.stringify({ peerId: host.peerId, addresses: host.addresses })}\n`)
