/** The peer that is attacked, in a process of its own: answers calls, and tells what it costs and who is banned. */
import { createNetwork, PROTOCOLS } from '@manyhands/core'
import { answerCalls } from './answer-calls.ts'

const network = await createNetwork({ listen: ['/ip4/127.0.0.1/tcp/0'], gossip: false })
network.handle('attempt.inventory', async () => ({ attempts: [] }))
await network.handleStream(PROTOCOLS.events, async (stream) => {
  await stream.next()
  await new Promise(() => {})
})
let bannedAt: number | undefined
let mostRss = 0
let cpuBefore = process.cpuUsage()
let askedAt = performance.now()
network.addEventListener('ban', () => {
  bannedAt ??= Date.now()
})
setInterval(() => {
  mostRss = Math.max(mostRss, process.memoryUsage().rss)
}, 20).unref()

/** What was seen since it was asked last. */
async function seen() {
  const { user, system } = process.cpuUsage(cpuBefore)
  const cores = (user + system) / 1000 / (performance.now() - askedAt)
  const told = { bannedAt, mostRss, offences: network.offences(), cores }
  cpuBefore = process.cpuUsage()
  askedAt = performance.now()
  bannedAt = undefined
  mostRss = process.memoryUsage().rss
  return told
}

export interface AttackedCalls extends Record<string, { params: unknown; result: unknown }> {
  seen: { params: null; result: Awaited<ReturnType<typeof seen>> }
}

answerCalls({ seen }, { addresses: network.addresses, peerId: network.peerId })
