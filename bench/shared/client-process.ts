/** A client in a process of its own, for one that begins anew; `ClientProcessOptions` come as its argument. */
import { createClient } from '@manyhands/client'
import { dockerImages } from '@manyhands/docker-runtime'
import { answerCalls } from './answer-calls.ts'
import type { ClientProcessCalls, ClientProcessOptions } from './client-processes.ts'

const options = JSON.parse(process.argv[2]!) as ClientProcessOptions
const beganAt = performance.now()
const client = await createClient({
  network: { bootstrap: options.bootstrap, gossip: false },
  state: options.state,
  images: options.engine === undefined ? [] : [dockerImages({ socketPath: options.engine })],
})

/** What runs for a moment only may be told as over at once. */
const STARTED = new Set<unknown>(['running', 'collecting', 'completed'])

async function run({
  spec,
}: ClientProcessCalls['run']['params']): Promise<ClientProcessCalls['run']['result']> {
  const submittedAt = performance.now()
  const job = await client.submit(spec)
  const following = (async () => {
    for await (const event of job.events({ since: 0 })) {
      if (event.kind === 'attempt' && STARTED.has(event.phase)) return performance.now()
    }
    return Number.NaN
  })()
  let error: string | undefined
  for await (const result of job.results()) error ??= result.error?.message
  if (error !== undefined) throw new Error(error)
  const { bytesUp } = await job.wait()
  return { runningMs: (await following) - submittedAt, bytesUp }
}

answerCalls({ run }, { openMs: performance.now() - beganAt })
