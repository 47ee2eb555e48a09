/**
 * What checking strangers costs and what it finds. First a whole client, scheduler and journal and all, among
 * simulated hosts on a virtual clock; then, for many more jobs of each kind, the machines that decide in it
 * alone. Work is executions for each task against a job without checks; wrong results are those that the
 * caller gets. `--seeds N` for more jobs of each kind, `--hosts N` for larger ones; `--runs N` whole clients.
 */
import { parseArgs } from 'node:util'
import { type CheckedRun, checkedRun } from './shared/checked-run.ts'
import { median, printResult } from './shared/result.ts'
import type { Conduct } from './shared/simulated-host.ts'
import { SimulatedJob } from './shared/simulated-job.ts'

const { values: options } = parseArgs({
  options: {
    seeds: { type: 'string', default: '20' },
    hosts: { type: 'string', default: '20' },
    slots: { type: 'string', default: '1' },
    runs: { type: 'string', default: '1' },
  },
})
const [SEEDS, HOSTS, SLOTS] = [options.seeds, options.hosts, options.slots].map(Number) as [
  number,
  number,
  number,
]
/** Of all hosts, those who cheat. */
const CHEATS = Math.max(2, Math.round(HOSTS / 10))
const WORK_MOST = 1.1

const cheats = (share: number, from?: number): Conduct =>
  from === undefined ? { kind: 'cheats', share } : { kind: 'cheats', share, from }
const colludes = (share: number): Conduct => ({ kind: 'colludes', share, ring: 'ring' })

/** Who is found out for certain, or as good as: wrong results of theirs are none of the caller's. */
const FOUND: Record<string, Conduct[]> = {
  'cheat always': Array(CHEATS).fill(cheats(1)),
  'cheat at 50 %': Array(CHEATS).fill(cheats(0.5)),
  'cheat at 20 %': Array(CHEATS).fill(cheats(0.2)),
  'cheat from the 500th on': Array(CHEATS).fill(cheats(1, 500)),
  'cheat from the 990th on': Array(CHEATS).fill(cheats(1, 990)),
  'cheat at 50 % from the 500th on': Array(CHEATS).fill(cheats(0.5, 500)),
  'a pair, always': Array(2).fill(colludes(1)),
  'a pair at 50 %': Array(2).fill(colludes(0.5)),
}

/** Who cheats so seldom that it may never be looked at: nothing that looks at some of the results finds it. */
const SELDOM: Record<string, Conduct[]> = {
  'cheat at 5 %': Array(CHEATS).fill(cheats(0.05)),
  'cheat at 1 %': Array(CHEATS).fill(cheats(0.01)),
  'a pair at 5 %': Array(2).fill(colludes(0.05)),
}

function jobs(bad: Conduct[], tasksPerHost: number) {
  const honest = Array<Conduct>(HOSTS - bad.length).fill({ kind: 'honest' })
  return Array.from({ length: SEEDS }, (_, seed) =>
    new SimulatedJob({
      conducts: [...bad, ...honest],
      tasksPerHost,
      seed: seed + 1,
      slots: SLOTS,
    }).run(),
  )
}

function told(bad: Conduct[]) {
  const outcomes = jobs(bad, 1000)
  const wrong = outcomes.map(({ wrongAccepted }) => wrongAccepted)
  return {
    wrongResults: wrong.reduce((sum, count) => sum + count, 0) / outcomes.length,
    most: Math.max(...wrong),
    jobsWithout: wrong.filter((count) => count === 0).length / outcomes.length,
    work: median(outcomes.map(({ work }) => work)),
  }
}

/** Of whole clients, one after the other. */
async function runs(bad: Conduct[], tasksPerHost: number): Promise<CheckedRun[]> {
  const outcomes: CheckedRun[] = []
  for (let seed = 1; seed <= Number(options.runs); seed += 1) {
    outcomes.push(await checkedRun({ bad, hosts: HOSTS, slots: SLOTS, tasksPerHost, seed }))
  }
  return outcomes
}

const work = (await runs([], 200)).map((outcome) => outcome.work)
const modelled = jobs([], 200).map((outcome) => outcome.work)
printResult({
  name: 'verification-work',
  promise: '≤ 1.10 × at 200 tasks a host',
  value: median(work),
  unit: 'executions a task',
  rounds: work,
  against: 'the same job without checks',
  peer: 1,
  ratio: median(work),
  kept: median(work) <= WORK_MOST,
  hosts: HOSTS,
  slots: SLOTS,
  deciding: { at200: median(modelled), at1000: median(jobs([], 1000).map((one) => one.work)) },
})

const whole: Record<string, { wrong: number; work: number; seconds: number }> = {}
for (const name of ['cheat always', 'cheat at 20 %', 'cheat from the 500th on', 'a pair at 50 %']) {
  const outcomes = await runs(FOUND[name]!, 1000)
  whole[name] = {
    wrong: outcomes.reduce((sum, { wrong }) => sum + wrong, 0),
    work: median(outcomes.map((one) => one.work)),
    seconds: median(outcomes.map(({ seconds }) => seconds)),
  }
}
const found = Object.fromEntries(Object.entries(FOUND).map(([name, bad]) => [name, told(bad)]))
const accepted =
  Object.values(found).reduce((sum, { wrongResults }) => sum + wrongResults, 0) +
  Object.values(whole).reduce((sum, { wrong }) => sum + wrong, 0)
printResult({
  name: 'verification-wrong',
  promise:
    '0 wrong results accepted at 1,000 tasks a host, of those who cheat in a fifth of them or from some moment on',
  value: accepted,
  unit: 'wrong results',
  against: 'every result of theirs that is wrong',
  peer: null,
  ratio: null,
  kept: accepted === 0,
  hosts: HOSTS,
  seeds: SEEDS,
  whole,
  found,
  // No promise: what cannot be held by looking at a part of the results.
  seldom: Object.fromEntries(Object.entries(SELDOM).map(([name, bad]) => [name, told(bad)])),
})
