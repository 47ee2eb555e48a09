/** An honest peer in a process of its own: asks at fixed times, answered or not. */
import { setTimeout as delay } from 'node:timers/promises'
import { createNetwork } from '@manyhands/core'
import { answerCalls } from './answer-calls.ts'

const { address } = JSON.parse(process.argv[2]!) as { address: string }
const network = await createNetwork({ bootstrap: [address], gossip: false })
const [peer] = network.peers()

/** How long each call took, ms. */
async function ask({ count, everyMs }: { count: number; everyMs: number }): Promise<number[]> {
  const began = performance.now()
  const calls: Promise<number>[] = []
  for (let index = 0; index < count; index += 1) {
    const at = performance.now()
    calls.push(network.call(peer!, 'attempt.inventory', {}).then(() => performance.now() - at))
    const waitMs = began + (index + 1) * everyMs - performance.now()
    if (waitMs > 0) await delay(waitMs)
  }
  return Promise.all(calls)
}

export interface AskingCalls extends Record<string, { params: unknown; result: unknown }> {
  ask: { params: { count: number; everyMs: number }; result: number[] }
}

answerCalls({ ask }, {})
