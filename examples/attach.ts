/** The computer that submitted a job is gone for good: another one goes on with its owner key. */
import assert from 'node:assert/strict'
import { createLocalNetwork } from '@manyhands/testing'

await using network = await createLocalNetwork({ hosts: 2 })
const first = await network.addClient()
await first.waitForHosts({ min: 2 })
const submitted = await first.submit({
  runtime: 'scripted',
  image: 'any',
  command: ['run', '--for', '100ms', '--write', 'n={{item}}'],
  tasks: '1-60',
})
// Taken early and kept elsewhere, like a password.
const ownerKey = await submitted.ownerKey()
for await (const { key } of submitted.results()) if (Number(key) > 0) break

// Another machine, with another identity and a state of its own.
const second = await network.addClient()
const job = await second.attach(ownerKey)
const results = await Array.fromAsync(job.results())
assert.equal(job.counts.completed, 60)
assert.equal(new Set(results.map(({ key }) => key)).size, 60)
const of = Map.groupBy(results, ({ receipt }) => receipt!.client)
for (const [client, { length }] of of) console.log(`${length} were sent out by ${client.slice(-6)}`)
// Who had the job before is told, also when it comes back only later.
await assert.rejects(submitted.wait(), { code: 'JOB_TAKEN' })
