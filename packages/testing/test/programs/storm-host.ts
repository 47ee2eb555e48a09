/** A host of a storm: options as JSON in argv, one line of JSON when ready. Every run leaves a line in a file. */
import { appendFileSync, existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { createHost } from '@manyhands/host'
import { scripted } from '../../src/index.ts'

const { state, listen, ran, ms, last, calm } = JSON.parse(process.argv[2]!) as {
  state: string
  listen: string
  ran: string
  ms: number
  /** The key of the task that goes on until there is a file `calm`: a job does not end before its storm. */
  last: string
  calm: string
}
async function calmed(): Promise<void> {
  while (!existsSync(calm)) await delay(50)
}
const host = await createHost({
  runtimes: [
    scripted({
      script: ({ command }) => {
        const key = command!.at(-1)!
        appendFileSync(ran, `${key}\n`)
        const write = { result: `made of ${key}` }
        return key === last ? { until: calmed(), write } : { for: ms, write }
      },
    }),
  ],
  share: { cpus: 4, memory: '8GiB', disk: '8GiB' },
  network: { listen: [listen], gossip: false },
  state,
})
process.stdout.write(`${JSON.stringify({ addresses: host.addresses })}\n`)
