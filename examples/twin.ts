/** A night of rendering, tried in a second: how long it takes on the hosts that one hopes for, and if some fail. */
import assert from 'node:assert/strict'
import { formatDuration, type JobSpec } from '@manyhands/core'
import { createLocalNetwork, type SimulatedHostOptions } from '@manyhands/testing'

const office: SimulatedHostOptions[] = [
  { speed: 4, labels: { room: 'office' } },
  { speed: 1, labels: { room: 'office' } },
  { speed: 1, labels: { room: 'attic' }, link: { latency: '80ms', bandwidth: '2MiB/s' } },
  // Somebody's laptop: comes after dinner.
  { speed: 2, labels: { room: 'attic' }, joinsAfter: '1h' },
]

async function night(hosts: SimulatedHostOptions[], more: Pick<JobSpec, 'hosts'> = {}) {
  await using network = await createLocalNetwork({
    hosts,
    // Ten minutes a frame at a host of speed 1.
    simulate: { seed: 2026, latency: '20ms', jitter: '5ms', work: () => '10m' },
  })
  const summary = await network.client.run({
    // What is real will run in Docker; here nothing has to be installed.
    image: 'blender:4.2',
    command: ['blender', '--background', '/in/scene.blend', '--render-frame', '{{item}}'],
    tasks: '1-200',
    resources: { cpus: 1, memory: '2GiB' },
    ...more,
  })
  assert.equal(summary.counts.completed, 200)
  return summary.durationMs
}

const quiet = await night(office)
console.log(`nothing happens:       ${formatDuration(quiet)}`)

const freezes = ({ speed }: SimulatedHostOptions) => (speed === 4 ? { freezesAfter: '30m' } : {})
const unlucky = await night(office.map((host) => ({ ...host, ...freezes(host) })))
console.log(`the fast one freezes:  ${formatDuration(unlucky)}`)
assert(unlucky > quiet)

const alone = await night(office, { hosts: { where: ({ labels }) => labels['room'] === 'office' } })
console.log(`only in the office:    ${formatDuration(alone)}`)
assert(alone > quiet)

// The same seed, the same night.
assert.equal(await night(office), quiet)
