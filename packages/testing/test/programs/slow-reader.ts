/** A client in a process of its own that reads results slowly; says every second what it takes. */
import { createClient } from '@manyhands/client'

const { bootstrap, state, tasks, pace } = JSON.parse(process.argv[2]!) as {
  bootstrap: string[]
  state: string
  tasks: number
  /** Results a second while the job runs; 0: as they come. */
  pace: number
}

async function* items() {
  for (let n = 0; n < tasks; n += 1) yield { n }
}

await using client = await createClient({ network: { bootstrap, gossip: false }, state })
await client.waitForHosts({ min: 2 })
const job = await client.submit({
  runtime: 'scripted',
  image: 'noop',
  command: ['run'],
  env: { N: '{{item.n}}' },
  tasks: items(),
})
let seen = 0
const say = (over: boolean) => {
  const rssMiB = process.memoryUsage.rss() / 2 ** 20
  const { completed } = job.counts
  process.stdout.write(`${JSON.stringify({ seen, completed, rssMiB, over })}\n`)
}
const timer = setInterval(() => say(false), 1000)
const began = performance.now()
for await (const result of job.results()) {
  if (!result.ok) throw new Error(`task ${result.key} failed: ${result.error?.message}`)
  seen += 1
  const aheadMs = pace === 0 ? 0 : (seen * 1000) / pace - (performance.now() - began)
  if (aheadMs < 50 || job.phase !== 'running') continue
  await new Promise((resolve) => setTimeout(resolve, aheadMs))
}
clearInterval(timer)
await job.wait()
say(true)
