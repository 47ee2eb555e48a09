/** Many small items, several to a task: as many as suit each host; one bad item costs itself. */
import assert from 'node:assert/strict'
import { createLocalNetwork, scripted } from '@manyhands/testing'

/** A computer that needs so long for each item, and cannot do one of them. */
const computer = (ms: number) => ({
  runtimes: [
    scripted({
      script: ({ command }) => {
        const photos = JSON.parse(command!.at(-1)!) as string[]
        return photos.includes('photo-0321.jpg') ? { exit: 1 } : { for: ms * photos.length }
      },
    }),
  ],
  share: { cpus: 1, memory: '1GiB', disk: '1GiB' },
})
await using network = await createLocalNetwork({ hosts: [computer(1), computer(4)] })
const photos = Array.from({ length: 600 }, (_, n) => `photo-${String(n).padStart(4, '0')}.jpg`)
const job = await network.client.submit({
  runtime: 'scripted',
  image: 'any',
  // A real one reads its items: ['thumbnails', '--list', '/in/items.ndjson'].
  command: ['run', '{{item.items}}'],
  tasks: photos,
  split: { by: 'items' },
  resources: { disk: 0 },
})
const results = await Array.fromAsync(job.results())
console.log(`600 photos in ${results.length} tasks`)
const bad = results.filter(({ ok }) => !ok)
console.log(
  'bad:',
  bad.flatMap(({ item }) => (item as unknown as { items: string[] }).items),
)
assert.equal(job.counts.completed, 599)
assert.equal(job.counts.failed, 1)
