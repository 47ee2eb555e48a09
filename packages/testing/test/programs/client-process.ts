/** A client in a process of its own: bootstrap and a job spec as JSON in argv; it follows until killed. */
import { createClient } from '@manyhands/client'

const { bootstrap, spec } = JSON.parse(process.argv[2]!)
const client = await createClient({
  network: { bootstrap, gossip: false },
  lease: { heartbeat: '200ms' },
})
await client.waitForHosts({ min: 1 })
const job = await client.submit(spec)
process.stdout.write(`${JSON.stringify({ peerId: client.peerId, job: job.id })}\n`)
for await (const _ of job.events()) {
  // Only to stay.
}
