import { createNetwork, LIMITS, type Network, PROTOCOLS } from '@manyhands/core'
import { expect, test } from 'vitest'
import { startAttack } from './hostile/start-attack.ts'

const LISTEN = ['/ip4/127.0.0.1/tcp/0']
/** What the attacked process may grow by. */
const GROWS_BYTES = 192 * 1024 ** 2

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 60_000
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`never came true: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

async function attacked(): Promise<Network> {
  const network = await createNetwork({ listen: LISTEN, gossip: false })
  network.handle('attempt.inventory', async () => ({ attempts: [] }))
  await network.handleStream(PROTOCOLS.events, async (stream) => {
    await stream.next()
    await new Promise(() => {})
  })
  return network
}

test.each(['slow-loris', 'malformed', 'unread', 'identities'] as const)(
  '%s: honest calls go on, memory stays bounded, the attacker is refused',
  async (kind) => {
    await using host = await attacked()
    await using client = await createNetwork({ bootstrap: host.addresses, gossip: false })
    const ask = () => client.call(host.peerId, 'attempt.inventory', {})
    await ask()
    let banned = false
    host.addEventListener('ban', () => {
      banned = true
    })
    const before = process.memoryUsage().rss
    let most = before
    await using _ = await startAttack(kind, host.addresses[0]!)
    await until('somebody is banned', () => {
      void ask()
      most = Math.max(most, process.memoryUsage().rss)
      return banned
    })
    // It goes on, from further connections.
    for (let round = 0; round < 100; round += 1) {
      await ask()
      most = Math.max(most, process.memoryUsage().rss)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    expect(host.isConnected(client.peerId)).toBe(true)
    expect(most - before).toBeLessThan(GROWS_BYTES)
    expect(host.connections().length).toBeLessThan(LIMITS.connectionsPerPeer)
  },
  120_000,
)
