/**
 * A peptide collapses in vacuum: replicas of it, each in several segments, on two hosts, one of which is lost
 * in the middle. Nothing is simulated twice but what came after the last checkpoint.
 *
 *   node main.ts [--replicas 4] [--segments 3] [--ps 250] [--out out/protein-folding] [--json]
 *
 * Exit code 0 when every trajectory is whole, every replica has collapsed, and one went on from a checkpoint.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { createClient } from '@manyhands/client'
import { SetupError } from '../debian-image/debian-image.ts'
import { ensureGromacsImage } from './build-image.ts'
import { foldingJob } from './folding-job.ts'
import { followFolding } from './follow-folding.ts'
import { startHost } from './host-process.ts'
import { radiusPlot, radiusTable } from './radius-plot.ts'
import { isWhole, type Trajectory } from './trajectory.ts'

/** The last line of `--json`. */
export interface FoldingReport {
  replicas: number
  completed: number
  failed: { task: string; message: string }[]
  /** Which replicas have every frame once. */
  whole: boolean[]
  frames: number[]
  /** Radius of gyration at the beginning and over the last tenth, nm. */
  collapse: { from: number; to: number }[]
  killed: boolean
  /** Segments that went on from a checkpoint of the lost host: where, and where the segment begins, ps. */
  continued: { task: string; atPs: number; segmentFromPs: number }[]
  seconds: number
}

const { values: options } = parseArgs({
  options: {
    replicas: { type: 'string', default: '4' },
    segments: { type: 'string', default: '3' },
    ps: { type: 'string', default: '250' },
    out: { type: 'string', default: 'out/protein-folding' },
    json: { type: 'boolean', default: false },
  },
})
const [replicas, segments, ps] = [options.replicas, options.segments, options.ps].map(Number) as [
  number,
  number,
  number,
]
const untilPs = segments * ps
const say = (line: string) => console.error(line)

async function main(): Promise<boolean> {
  await ensureGromacsImage(say)
  const began = performance.now()
  await using first = await startHost()
  await using second = await startHost()
  await using client = await createClient({
    network: { bootstrap: [...first.addresses, ...second.addresses] },
    // So that a lost host is missed after six seconds.
    lease: { heartbeat: '1s' },
  })
  await client.waitForHosts({ min: 2, timeout: '20s' })
  const job = await client.submit(foldingJob({ replicas, segments, ps }))
  const folded = await followFolding(job, { hosts: [first, second], ps, say })
  const seconds = (performance.now() - began) / 1000
  const trajectories = [...folded.trajectories].sort(([a], [b]) => a - b).map(([, one]) => one)
  const report: FoldingReport = {
    replicas,
    completed: folded.completed,
    failed: folded.failed,
    whole: trajectories.map((one) => isWhole(one, untilPs)),
    frames: trajectories.map(({ frames }) => frames),
    collapse: trajectories.map(collapse),
    killed: folded.killed !== undefined,
    continued: folded.continued,
    seconds,
  }
  await save(trajectories, folded.continued)
  summarize(report)
  if (options.json) console.log(JSON.stringify(report))
  return (
    report.failed.length === 0 &&
    report.whole.length === replicas &&
    report.whole.every(Boolean) &&
    report.collapse.every(({ from, to }) => to < from / 2) &&
    report.continued.some(({ atPs, segmentFromPs }) => atPs > segmentFromPs)
  )
}

function collapse({ radius }: Trajectory): { from: number; to: number } {
  const last = radius.slice(-Math.ceil(radius.length / 10))
  const mean = last.reduce((sum, { nm }) => sum + nm, 0) / last.length
  return { from: radius[0]?.nm ?? Number.NaN, to: mean }
}

async function save(replicas: Trajectory[], continued: FoldingReport['continued']): Promise<void> {
  const out = resolve(options.out)
  await mkdir(out, { recursive: true })
  const taken = continued.map(({ task, atPs }) => ({
    replica: Number(task.slice(1, -3)),
    ps: atPs,
  }))
  await writeFile(join(out, 'radius.svg'), radiusPlot(replicas, untilPs, taken))
  await writeFile(join(out, 'radius.csv'), radiusTable(replicas, 1))
  say(`\n${radiusTable(replicas, untilPs / 10)}`)
}

function summarize(report: FoldingReport): void {
  say(`${report.completed} tasks in ${report.seconds.toFixed(0)} s, ${report.failed.length} failed`)
  for (const [index, { from, to }] of report.collapse.entries()) {
    const whole = report.whole[index] ? 'whole' : 'NOT whole'
    const frames = `${report.frames[index]} frames, ${whole}`
    say(`  replica ${index + 1}: ${frames}, radius ${from.toFixed(2)} → ${to.toFixed(2)} nm`)
  }
  for (const { task, atPs, segmentFromPs } of report.continued) {
    say(`  ${task} went on at ${atPs} ps, not at ${segmentFromPs}`)
  }
  say(`  saved to ${join(options.out, 'radius.svg')} and radius.csv`)
}

if (![replicas, segments, ps].every((value) => Number.isSafeInteger(value) && value > 0)) {
  console.error('--replicas, --segments and --ps want whole numbers above 0')
  process.exitCode = 2
} else {
  try {
    process.exitCode = (await main()) ? 0 : 1
  } catch (error) {
    if (!(error instanceof SetupError)) throw error
    console.error(error.message)
    process.exitCode = 1
  }
}
