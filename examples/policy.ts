/** Rules as one object: what is lent, to whom and when; why a request is refused; changed while it runs. */
import assert from 'node:assert/strict'
import type { AdmissionRequest } from '@manyhands/host'
import { createLocalNetwork } from '@manyhands/testing'

// `sensors` makes the schedule see what we want it to see; without it, it looks at this computer.
let programs = new Set<string>()
const sensors = {
  idleMs: async () => undefined,
  onBattery: async () => false,
  programs: async () => programs,
  localTime: () => ({ minutes: 22 * 60, day: 1 }),
}
await using network = await createLocalNetwork({
  hosts: [
    {
      share: { cpus: 2, memory: '1GiB' },
      policy: {
        images: ['render:*'],
        quotas: { perClient: { attempts: 2, cpuHoursPerDay: 20 } },
        // Anything that a list cannot say.
        admit: (request) => request.resources.memoryBytes <= 512 * 2 ** 20,
      },
      schedule: { hours: 'Mon-Fri 19:00-07:00', pauseWhile: ['game'] },
      sensors,
    },
  ],
})
const host = network.hosts[0]!

const request: AdmissionRequest = {
  client: network.client.peerId,
  runtime: 'scripted',
  image: 'render:1',
  resources: { cpus: 1, memoryBytes: 64 * 2 ** 20, diskBytes: 2 ** 20, gpus: 0, pids: 10 },
  timeoutMs: 0,
  networkProfile: 'none',
}
const refusals = async (change: Partial<AdmissionRequest> = {}) =>
  (await host.explain({ ...request, ...change })).filter(({ allowed }) => !allowed)

assert.deepEqual(await refusals(), [])
console.log('render:1 would be taken now')
for (const { rule, detail } of await refusals({ image: 'miner:1', timeoutMs: 1e9 })) {
  console.log(`miner:1 would not: ${rule}: ${detail}`)
}

// A section that is given replaces the one in force; the others stay, functions too.
await host.setPolicy({ schedule: { hours: 'Sat,Sun 00:00-24:00' } })
const [closed] = await refusals()
assert(closed?.temporary)
console.log(`at the weekend only: ${closed.rule}: ${closed.detail}`)
await host.setPolicy({ schedule: { pauseWhile: ['game'] } })
assert.equal(host.policy.share?.cpus, 2)

// Work that runs obeys as well: while the owner plays, it stands still.
const job = await network.client.submit({
  runtime: 'scripted',
  image: 'render:1',
  command: ['run', '--for', '3s'],
  tasks: ['frame'],
})
const phase = async (wanted: string) => {
  while (host.attempts()[0]?.phase !== wanted) await new Promise((done) => setTimeout(done, 20))
  return host.attempts()[0]!
}
await phase('running')
programs = new Set(['game'])
const paused = await phase('paused')
console.log(`the owner plays: the attempt is paused (${paused.reason})`)
programs = new Set()
await phase('running')
console.log('the owner has played: it goes on')
const { counts } = await job.wait()
assert.deepEqual([counts.completed, counts.failed], [1, 0])

// What runs and is no longer allowed is evicted; its task would move to another host.
const evicted = await network.client.submit({
  runtime: 'scripted',
  image: 'render:2',
  command: ['run', '--hang'],
  tasks: ['x'],
})
await phase('running')
await host.setPolicy({ policy: { images: ['other:*'] } })
for await (const event of evicted.events()) {
  if (event.kind !== 'attempt' || event.phase !== 'evicted') continue
  console.log(`render:2 may not run any more; its client was told: ${event.reason}`)
  break
}
await evicted.cancel()
