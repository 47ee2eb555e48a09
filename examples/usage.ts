/** What attempts use: now, over the last minutes, and in all; and a rule that acts on it. */
import assert from 'node:assert/strict'
import { createLocalNetwork } from '@manyhands/testing'

await using network = await createLocalNetwork({
  hosts: [
    {
      policy: {
        // Looks at every sample of every attempt, once a second.
        onUsage: (sample) =>
          sample.cpu > 1.5 ? { action: 'kill', reason: 'uses more than 1.5 cores' } : undefined,
      },
    },
  ],
})
const { client, hosts } = network
const host = hosts[0]!

const modest = await client.submit({
  name: 'modest',
  runtime: 'scripted',
  image: 'any',
  command: ['run', '--cpu', '0.5', '--memory', '64MiB', '--for', '5s'],
  tasks: '1-2',
  resources: { cpus: 1, memory: '128MiB' },
})

// Live: a sample a second of each. Stop whenever you like; the work goes on.
let seen = 0
for await (const sample of host.usage()) {
  console.log(`${sample.attempt.slice(0, 8)}  ${sample.cpu} cores, ${sample.memory / 2 ** 20} MiB`)
  seen += 1
  if (seen === 4) break
}

// The last ten minutes of one attempt, kept for you.
const { id } = host.attempts()[0]!
const history = host.history(id)
assert(history.length >= 2)
console.log(
  `history of ${id.slice(0, 8)}: ${history.length} samples, ${Math.round(history.at(-1)!.cpuMs)} core-ms`,
)
await modest.wait()

// The rule: who uses more than that is ended, and its client is told why.
const greedy = await client.submit({
  name: 'greedy',
  runtime: 'scripted',
  image: 'any',
  command: ['run', '--cpu', '2', '--hang'],
  tasks: ['x'],
  resources: { cpus: 2 },
})
for await (const event of greedy.events()) {
  if (event.kind !== 'attempt' || event.phase !== 'evicted') continue
  console.log(`greedy was told: evicted by the ${event.by}: ${event.reason}`)
  assert.match(event.reason ?? '', /1\.5 cores/)
  break
}
await greedy.cancel()

// Sums, by client and by job, also after a restart.
const { clients, jobs } = host.totals()
for (const total of jobs) {
  const { completed, evicted } = total.ended
  const seconds = (total.cpuMs / 1000).toFixed(1)
  console.log(`${total.jobName}: ${completed} completed, ${evicted} evicted, ${seconds} core-s`)
}
assert.equal(clients.length, 1)
assert.equal(jobs.find(({ jobName }) => jobName === 'modest')?.ended.completed, 2)
assert(jobs.find(({ jobName }) => jobName === 'greedy')!.ended.evicted >= 1)
