/**
 * The local twin: 10,000 tasks of a minute at 20 simulated hosts, with latency, loss and crashes, in
 * seconds; and the same again, to the last event. Against the time that passes on its clock.
 *
 *   node --conditions=@manyhands/source bench/twin.ts [--tasks 10000] [--hosts 20] [--rounds 2]
 */
import { createHash } from 'node:crypto'
import { parseArgs } from 'node:util'
import { createLocalNetwork } from '@manyhands/testing'
import { median, printResult } from './shared/result.ts'

const { values } = parseArgs({
  options: {
    tasks: { type: 'string', default: '10000' },
    hosts: { type: 'string', default: '20' },
    rounds: { type: 'string', default: '2' },
  },
})
const TASKS = Number(values.tasks)
const HOSTS = Number(values.hosts)
const MOST_SECONDS = 60

async function round() {
  const begunAt = performance.now()
  await using network = await createLocalNetwork({
    hosts: Array.from({ length: HOSTS }, (_, index) => ({ speed: 4 ** (index / HOSTS) })),
    simulate: {
      seed: 1,
      latency: '30ms',
      jitter: '10ms',
      loss: 0.01,
      work: () => '1m',
      churn: { crashEvery: '2h', cutOffEvery: '2h', backAfter: '2m' },
    },
  })
  const job = await network.client.submit({
    runtime: 'scripted',
    image: 'any',
    command: ['run'],
    tasks: `1-${TASKS}`,
  })
  const hash = createHash('sha256')
  for await (const event of job.events({ since: 0 })) {
    if (event.kind !== 'progress') hash.update(JSON.stringify(event))
  }
  const { counts, durationMs } = await job.wait()
  return {
    seconds: (performance.now() - begunAt) / 1000,
    simulatedMs: durationMs,
    events: network.clock.events,
    completed: counts.completed,
    log: hash.digest('hex'),
  }
}

const rounds = []
for (let each = 0; each < Number(values.rounds); each += 1) rounds.push(await round())
const [first] = rounds
const seconds = median(rounds.map((one) => one.seconds))
const same = rounds.every(({ log }) => log === first!.log)
printResult({
  name: 'twin',
  promise: `10,000 tasks in ≤ ${MOST_SECONDS} s, the same each time`,
  value: seconds,
  unit: 's',
  rounds: rounds.map((one) => one.seconds),
  against: 'the time that passes on its clock',
  peer: first!.simulatedMs / 1000,
  ratio: seconds / (first!.simulatedMs / 1000),
  kept: seconds <= MOST_SECONDS && same && first!.completed === TASKS,
  tasksASecond: TASKS / seconds,
  eventsASecond: first!.events / seconds,
  events: first!.events,
  same,
})
