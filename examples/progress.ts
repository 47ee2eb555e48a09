/** Following a job: progress with a rate and an ETA, and everything that happens as events. */
import assert from 'node:assert/strict'
import { formatDuration } from '@manyhands/core'
import { createLocalNetwork } from '@manyhands/testing'

await using network = await createLocalNetwork({ hosts: 2 })
const job = await network.client.submit({
  runtime: 'scripted',
  image: 'any',
  command: ['run', '--for', '40ms', '--stdout', 'working on {{item}}'],
  tasks: '1-60',
  unit: 'frame',
})

const shown = setInterval(() => {
  const { completed, total, unit, rate, eta } = job.progress
  const left = eta === undefined ? '' : `, ${formatDuration(eta)} left`
  console.log(`${completed}/${total ?? '?'} ${unit}s, ${rate.toFixed(0)}/s${left}`)
}, 250)

const kinds = new Map<string, number>()
for await (const event of job.events()) kinds.set(event.kind, (kinds.get(event.kind) ?? 0) + 1)
clearInterval(shown)

console.log('events:', Object.fromEntries(kinds))
assert.equal(job.phase, 'completed')
assert.equal(job.counts.completed, 60)
