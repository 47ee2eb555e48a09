import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ComplianceEgress } from '@manyhands/testing/runtime-compliance'

/** The owner's permission that tests need: their servers are on loopback. */
export const LOOPBACK = { egress: { allowNetworks: ['127.0.0.0/8'] } }

/** Servers on loopback for as long as the test file runs; they keep no process alive. */
export async function egressForTests(): Promise<ComplianceEgress> {
  const ports = await Promise.all(
    ['listed', 'another'].map(async (answer) => {
      const server = createServer((_, response) => response.end(answer)).listen(0, '127.0.0.1')
      await once(server, 'listening')
      server.unref()
      return (server.address() as AddressInfo).port
    }),
  )
  const [listed, other] = ports
  return {
    listed: {
      destination: `127.0.0.1:${listed}`,
      url: `http://127.0.0.1:${listed}/`,
      answer: 'listed',
    },
    unlisted: [
      `http://127.0.0.1:${other}/`,
      `http://localhost:${listed}/`,
      `http://127.0.0.2:${listed}/`,
    ],
  }
}
