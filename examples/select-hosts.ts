/** Choosing hosts: filters on live offers, lists of peers, and a ranking of one's own. */
import assert from 'node:assert/strict'
import { createLocalNetwork } from '@manyhands/testing'

await using network = await createLocalNetwork({
  hosts: [
    { labels: { room: 'attic' }, share: { cpus: 2, memory: '4GiB', disk: '4GiB' } },
    { labels: { room: 'office' }, share: { cpus: 8, memory: '16GiB', disk: '16GiB' } },
    { labels: { room: 'office' }, share: { cpus: 4, memory: '8GiB', disk: '8GiB' } },
  ],
})
const { client } = network

for (const offer of client.hosts()) {
  console.log(`${offer.peerId.slice(-6)}  ${offer.labels['room']}  ${offer.cpus} cores`)
}

const job = await client.submit({
  runtime: 'scripted',
  image: 'any',
  command: ['run', '--for', '20ms'],
  tasks: '1-8',
  hosts: {
    where: (offer) => offer.labels['room'] === 'office',
    // The one that did most for us so far, then the largest.
    rank: (offer, history) => history.completed + offer.cpus / 100,
    perHost: 4,
  },
})

const perHost = new Map<string, number>()
for await (const result of job.results()) {
  perHost.set(result.host!, (perHost.get(result.host!) ?? 0) + 1)
}
console.log('tasks per host:', Object.fromEntries([...perHost].map(([id, n]) => [id.slice(-6), n])))

const attic = client.hosts().find((offer) => offer.labels['room'] === 'attic')!
assert(!perHost.has(attic.peerId))
assert.equal(
  [...perHost.values()].reduce((a, b) => a + b),
  8,
)
