/**
 * A client that begins anew on the journal of a job of many tasks, half of them done: from `createClient` to
 * the job, and to the first offer at a host. A short try is `--tasks 5000`.
 */
import { parseArgs } from 'node:util'
import { createClient } from '@manyhands/client'
import { startHostProcesses } from './shared/host-processes.ts'
import { printResult } from './shared/result.ts'
import { makeScratch } from './shared/scratch.ts'

const LIMIT_MS = 2000
const { values } = parseArgs({ options: { tasks: { type: 'string', default: '100000' } } })
const tasks = Number(values.tasks)

await using scratch = await makeScratch()
await using hosts = await startHostProcesses(2, { runtimes: ['scripted'], cpus: 256 })
const options = {
  network: { bootstrap: hosts.addresses, gossip: false },
  state: `${scratch.path}/client`,
}
let id: string
{
  await using client = await createClient(options)
  await client.waitForHosts({ min: 2 })
  const items = Array.from({ length: tasks }, (_, n) => n)
  const job = await client.submit({
    runtime: 'scripted',
    image: 'noop',
    command: ['run'],
    tasks: items,
  })
  id = job.id
  while (job.counts.completed < tasks / 2) await new Promise((resolve) => setTimeout(resolve, 20))
}
const began = performance.now()
await using client = await createClient(options)
const openMs = performance.now() - began
const job = await client.job(id)
const jobMs = performance.now() - began
let firstMs = Number.NaN
for await (const event of job.events()) {
  if (event.kind !== 'attempt' || event.phase !== 'offered') continue
  firstMs = performance.now() - began
  break
}
const { completed } = job.counts
await job.cancel('measured')
printResult({
  name: `ready after a restart, ${tasks} tasks`,
  promise: 'first offer ≤ 2 s after the restart',
  value: firstMs,
  unit: 'ms',
  against: `a limit of ${LIMIT_MS} ms`,
  peer: LIMIT_MS,
  ratio: firstMs / LIMIT_MS,
  kept: firstMs <= LIMIT_MS,
  openMs,
  jobMs,
  completed,
})
