/**
 * A job of many generated tasks through two hosts and a reader that is slower than they are: what the client
 * keeps in memory. It is a process of its own with a small heap, and its memory is what the system says.
 *
 *   npm run bench -- million [--tasks 1000000] [--pace 2000]
 *
 * The reader takes at most so many results a second (`--pace 0`: as they come), until the job has ended; then
 * the rest. A short try is `--tasks 20000 --pace 0`.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { startHostProcesses } from './shared/host-processes.ts'
import { printResult } from './shared/result.ts'
import { makeScratch } from './shared/scratch.ts'

const LIMIT_MIB = 256
/** What the client may take of V8's old generation; code, buffers and SQLite come on top. */
const HEAP = ['--max-old-space-size=96', '--max-semi-space-size=8']
const READER = new URL('../packages/testing/test/programs/slow-reader.ts', import.meta.url).pathname

const { values } = parseArgs({
  options: {
    tasks: { type: 'string', default: '1000000' },
    pace: { type: 'string', default: '2000' },
  },
})
const [tasks, pace] = [Number(values.tasks), Number(values.pace)]

/** What the reader says every second. */
interface Sample {
  seen: number
  completed: number
  rssMiB: number
  over: boolean
}

await using scratch = await makeScratch()
await using hosts = await startHostProcesses(2, { runtimes: ['scripted'], cpus: 256 })
const options = { bootstrap: hosts.addresses, state: `${scratch.path}/client`, tasks, pace }
const child = spawn(
  process.execPath,
  [...HEAP, ...process.execArgv, READER, JSON.stringify(options)],
  { stdio: ['ignore', 'pipe', 'inherit'] },
)
const ended = once(child, 'exit')
const began = performance.now()
const samples: Sample[] = []
for await (const line of createInterface({ input: child.stdout! })) {
  const sample = JSON.parse(line) as Sample
  samples.push(sample)
  if (samples.length % 30 === 0) process.stderr.write(`${line}\n`)
}
const [code] = await ended
const last = samples.at(-1)
if (code !== 0 || last?.over !== true) throw new Error(`the reader ended with ${code}`)
const most = Math.max(...samples.map(({ rssMiB }) => rssMiB))
// Flat: what the last tenth takes beside what the second one took.
const tenth = Math.max(1, Math.floor(samples.length / 10))
const mean = (some: Sample[]) => some.reduce((sum, { rssMiB }) => sum + rssMiB, 0) / some.length
printResult({
  name: `${tasks} tasks, a slow reader`,
  promise: `client < ${LIMIT_MIB} MiB, and flat`,
  value: most,
  unit: 'MiB',
  against: `a limit of ${LIMIT_MIB} MiB`,
  peer: LIMIT_MIB,
  ratio: most / LIMIT_MIB,
  kept: most < LIMIT_MIB && last.seen === tasks,
  secondTenthMiB: mean(samples.slice(tenth, 2 * tenth)),
  lastTenthMiB: mean(samples.slice(-tenth)),
  tasksPerSecond: (tasks * 1000) / (performance.now() - began),
  seen: last.seen,
})
