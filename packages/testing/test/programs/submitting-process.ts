/**
 * A client in a process of its own that submits one job: options as JSON in argv, a line of JSON with its
 * id as soon as it is submitted, and one for each result.
 */
import { createClient } from '@manyhands/client'
import type { JobSpec } from '@manyhands/core'

const { state, bootstrap, spec, upTo, length, key } = JSON.parse(process.argv[2]!) as {
  state: string
  bootstrap: string[]
  spec: JobSpec<number>
  /** With it, the source is a generator of so many numbers. */
  upTo?: number
  /** With it, an array of so many. */
  length?: number
  /** With it, the owner key of the job is told with its id. */
  key?: boolean
}
function* numbers() {
  for (let n = 1; n <= upTo!; n += 1) yield n
}
const client = await createClient({
  state,
  network: { bootstrap, gossip: false },
  lease: { heartbeat: '200ms' },
})
const tasks =
  length !== undefined
    ? Array.from({ length }, (_, n) => n)
    : upTo === undefined
      ? spec.tasks
      : numbers()
const job = await client.submit({ ...spec, tasks })
const ownerKey = key ? await job.ownerKey() : undefined
process.stdout.write(`${JSON.stringify({ id: job.id, ownerKey })}\n`)
for await (const { key } of job.results()) process.stdout.write(`${JSON.stringify({ key })}\n`)
