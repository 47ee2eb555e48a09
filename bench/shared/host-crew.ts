/**
 * Many hosts in one process: makes them as it is told and answers what they know. Talks to its parent,
 * see `host-crews.ts`, and ends with it.
 */
import { createHost, type Host } from '@manyhands/host'
import { scripted } from '@manyhands/testing'
import type { CrewAsks, CrewSays } from './host-crews.ts'

const hosts: Host[] = []
const WATCH_MS = 50
let known = 0

process.on('message', (asked: CrewAsks) => {
  void answer(asked).catch((error) => {
    process.stderr.write(`${error.stack}\n`)
    process.exit(1)
  })
})
process.on('disconnect', () => process.exit())

async function answer(asked: CrewAsks): Promise<void> {
  if (asked.do === 'add') {
    for (let count = 0; count < asked.count; count += 1) {
      hosts.push(await startHost(asked.bootstrap))
    }
    return say({ addresses: hosts.map((host) => host.addresses[0]!) })
  }
  if (asked.do === 'know') {
    const watch = setInterval(() => {
      known = Math.min(...hosts.map((host) => host.networkStatus().offersKnown))
      if (known < asked.offers) return
      clearInterval(watch)
      say({ known, at: Date.now() })
    }, WATCH_MS)
    return
  }
  const { user, system } = process.cpuUsage()
  const sum = (pick: (host: Host) => number) => hosts.reduce((total, host) => total + pick(host), 0)
  say({
    known: Math.min(...hosts.map((host) => host.networkStatus().offersKnown)),
    cpuMs: (user + system) / 1000,
    rss: process.memoryUsage().rss,
    connections: sum((host) => host.connections().length),
    heard: sum((host) => {
      const { gossip } = host.networkStatus()
      return gossip === undefined ? 0 : gossip.taken + gossip.known
    }),
  })
}

/** On a computer that is busy with all the others a dial may take too long. */
async function startHost(bootstrap: string[], tries = 5): Promise<Host> {
  try {
    return await createHost({
      runtimes: [scripted()],
      share: { cpus: 1, memory: '1GiB', disk: '1GiB' },
      network: { listen: ['/ip4/127.0.0.1/tcp/0'], bootstrap },
    })
  } catch (error) {
    if (tries === 1) throw error
    return startHost(bootstrap, tries - 1)
  }
}

function say(said: CrewSays): void {
  process.send?.(said)
}
