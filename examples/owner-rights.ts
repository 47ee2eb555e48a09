/** The owner of a host: sees what runs, pauses it, takes the computer back; the client's work moves on. */
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
  command: ['run', '--for', '300ms', '--memory', '64MiB'],
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

await mine.pause(attempt.id)
console.log('paused:', mine.attempts().find(({ id }) => id === attempt.id)?.phase)
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
