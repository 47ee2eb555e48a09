/** The owner of a host: sees, pauses, limits and ends what runs; drains, blocks. The work moves on. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { HostAttempt } from '@manyhands/host'
import { createLocalNetwork } from '@manyhands/testing'

await using network = await createLocalNetwork({ hosts: 2 })
const { client, hosts } = network
const mine = hosts[0]!

const job = await client.submit({
  runtime: 'scripted',
  image: 'any',
  command: ['run', '--for', '2s', '--memory', '64MiB'],
  tasks: '1-4',
  retry: { attempts: 1 },
})

// The first of the client's attempts on my computer that runs.
let attempt: HostAttempt
do {
  const [event] = await once(mine, 'attempt')
  attempt = (event as CustomEvent<HostAttempt>).detail
} while (attempt.phase !== 'running')
console.log(`task ${attempt.task} runs here for ${attempt.client.slice(-6)}`)

const now = () => mine.attempts().find(({ id }) => id === attempt.id)
await mine.pause(attempt.id, 'a film')
console.log('paused:', now()?.phase, `(${now()?.reason})`)
await mine.limit(attempt.id, { cpus: 0.5, memory: '128MiB' })
console.log('limited:', now()?.limits.cpus, 'cores')
assert.equal(now()?.limits.cpus, 0.5)
await mine.resume(attempt.id)
await mine.kill(attempt.id, 'I want to play a game')

const summary = await job.wait()
console.log(`${summary.counts.completed} of 4 tasks completed, ${summary.counts.failed} failed`)
assert.equal(summary.counts.completed, 4)

for await (const event of job.events()) {
  if (event.kind === 'attempt' && event.phase === 'evicted') {
    console.log(`the client was told: evicted by the ${event.by}: ${event.reason}`)
    assert.equal(event.reason, 'I want to play a game')
  }
}

// A client that is not wanted any more is refused from now on, also after a restart.
await mine.block(client.peerId)
assert.deepEqual(mine.blocked, [client.peerId])
console.log('why would a request be refused here?')
const verdicts = await mine.explain({
  client: client.peerId,
  runtime: 'docker',
  image: 'blender:1',
  resources: { cpus: 64, memoryBytes: 2 ** 30, diskBytes: 2 ** 30, gpus: 0, pids: 100 },
  timeoutMs: 0,
  networkProfile: 'none',
})
for (const { rule, allowed, detail } of verdicts) if (!allowed) console.log(`  ${rule}: ${detail}`)
await mine.unblock(client.peerId)

// The end of the day: no new work, what runs may finish. A deadline would end the rest.
const report = await mine.drain({ deadline: 'never' })
console.log(`drained: ${report.completed} finished, ${report.evicted} evicted`)
assert(mine.offer.draining)
