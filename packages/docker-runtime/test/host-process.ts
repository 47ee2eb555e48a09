/**
 * A host with real containers as a process of its own, so that what attacks cost it can be told from
 * what they cost its client. Started with its state directory as argument, and with the engine's socket
 * when that is not where it usually is; answers
 * the message 'most' with the most memory that it has had since the message before.
 */
import process from 'node:process'
import { createHost } from '@manyhands/host'
import { docker } from '../src/index.ts'

const SAMPLE_MS = 20
const [, , state, socketPath] = process.argv

const host = await createHost({
  runtimes: [docker(socketPath === undefined ? {} : { socketPath, reaper: false })],
  share: { cpus: 4, memory: '2GiB', disk: '4GiB' },
  state: state!,
  network: { listen: ['/ip4/127.0.0.1/tcp/0'], gossip: false },
})

let most = 0
const sampler = setInterval(() => {
  most = Math.max(most, process.memoryUsage.rss())
}, SAMPLE_MS)

process.on('message', (message) => {
  if (message === 'close') {
    clearInterval(sampler)
    void host.close().finally(() => process.disconnect())
    return
  }
  process.send?.({ most: Math.max(most, process.memoryUsage.rss()) })
  most = 0
})
// The test is gone: nothing may be left of it.
process.on('disconnect', () => process.exit())
process.send?.({ addresses: host.addresses, instance: host.offer.instance })
