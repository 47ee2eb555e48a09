/** Following a job: what its tasks do and how far they are, a rate and an ETA, and all that happens. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { formatByteSize, formatDuration } from '@manyhands/core'
import { createLocalNetwork } from '@manyhands/testing'

// 16 MiB that every task reads and each host gets once.
const scene = randomBytes(16 * 1024 ** 2)
await using network = await createLocalNetwork({ hosts: 2 })
const job = await network.client.submit({
  runtime: 'scripted',
  image: 'any',
  command: ['run', '--for', '40ms', '--stdout', 'working on {{item}}'],
  inputs: { '/in/scene': scene },
  tasks: '1-60',
  unit: 'frame',
})

const kinds = new Map<string, number>()
for await (const event of job.events()) {
  kinds.set(event.kind, (kinds.get(event.kind) ?? 0) + 1)
  if (event.kind !== 'progress') continue
  const { completed, total, unit, rate, eta, phases, active } = event.progress
  const left = eta === undefined ? '' : `, ${formatDuration(eta)} left`
  console.log(`${completed}/${total ?? '?'} ${unit}s, ${rate.toFixed(0)}/s${left}`, phases)
  // What each of them does; the bytes of what it waits for, while something is transferred.
  for (const { task, host, phase, bytes, total: ofBytes } of active) {
    if (bytes === undefined) continue
    const of = ofBytes === undefined ? '' : ` of ${formatByteSize(ofBytes)}`
    console.log(`  ${unit} ${task} at …${host.slice(-8)}: ${phase}, ${formatByteSize(bytes)}${of}`)
  }
}

console.log('events:', Object.fromEntries(kinds))
assert.equal(job.phase, 'completed')
assert.equal(job.counts.completed, 60)
// Once to each host at most: what one of them has, the other may get from there.
const { bytesUp } = job.progress
assert.ok(bytesUp >= scene.length && bytesUp <= 2 * scene.length)
