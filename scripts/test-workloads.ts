/**
 * Runs real programs over the network and checks what comes back: `npm run test:workloads`.
 * Each workload is one entry of WORKLOADS; the last line is `N passed, N failed` of the checks made.
 * Without a Docker engine it says so and skips, except under CI, where it fails.
 */
import { spawn } from 'node:child_process'
import { ensureBlenderImage } from '../examples/blender-animation/build-image.ts'
import type { BlenderReport } from '../examples/blender-animation/main.ts'
import { engineTrouble, run } from '../examples/debian-image/debian-image.ts'
import { ensureGromacsImage } from '../examples/protein-folding/build-image.ts'
import type { FoldingReport } from '../examples/protein-folding/main.ts'

interface Check {
  name: string
  passed: boolean
  detail?: string
}

interface Workload {
  name: string
  /** Brings what the workload needs, images above all. */
  prepare(): Promise<unknown>
  /** Runs it and says what held. A throw counts as one failed check. */
  check(): Promise<Check[]>
}

const root = new URL('../', import.meta.url).pathname
const say = (line: string) => console.log(`  ${line}`)

const blender: Workload = {
  name: 'Blender animation on two hosts',
  prepare: () => ensureBlenderImage(say),
  async check() {
    const frames = 24
    const { code, lastLine } = await example('examples/blender-animation/main.ts', [
      ...['--json', '--frames', String(frames), '--out', 'out/blender'],
    ])
    const report = JSON.parse(lastLine) as BlenderReport
    const counts = Object.values(report.hosts)
    return [
      {
        name: 'every frame present',
        passed: report.completed === frames && report.failed.length === 0,
        detail: `${report.completed} of ${frames}, ${report.failed.length} failed`,
      },
      {
        name: 'two hosts each did work',
        passed: counts.length === 2 && counts.every((count) => count > 0),
        detail: counts.join(' and '),
      },
      {
        name: 'every frame equal to a direct run',
        passed: report.compared === frames && report.different.length === 0,
        detail: `${report.compared} compared, largest difference ${report.maxDifference}`,
      },
      { name: 'the example says so too', passed: code === 0, detail: `exit code ${code}` },
    ]
  },
}

const folding: Workload = {
  name: 'Protein folding on two hosts, one of which is lost',
  prepare: () => ensureGromacsImage(say),
  async check() {
    const { code, lastLine } = await example('examples/protein-folding/main.ts', [
      ...['--json', '--out', 'out/protein-folding'],
    ])
    const report = JSON.parse(lastLine) as FoldingReport
    const { replicas, continued } = report
    const all = (kept: boolean[]) => kept.length === replicas && kept.every(Boolean)
    return [
      {
        name: 'every segment of every replica completed',
        passed: report.failed.length === 0 && report.completed > replicas,
        detail: `${report.completed} tasks in ${report.seconds.toFixed(0)} s, ${report.failed.length} failed`,
      },
      {
        name: 'every trajectory is whole: no gap, no overlap',
        passed: all(report.whole),
        detail: `${report.frames.join(', ')} frames`,
      },
      {
        name: 'every replica has collapsed',
        passed: all(report.collapse.map(({ from, to }) => to < from / 2)),
        detail: report.collapse
          .map(({ from, to }) => `${from.toFixed(2)} → ${to.toFixed(2)}`)
          .join(', '),
      },
      { name: 'a host was killed in the middle', passed: report.killed },
      { name: 'the example says so too', passed: code === 0, detail: `exit code ${code}` },
      {
        name: 'what it ran went on from a checkpoint, not from the beginning of its segment',
        passed: continued.some(({ atPs, segmentFromPs }) => atPs > segmentFromPs),
        detail: continued
          .map(({ task, atPs, segmentFromPs }) => `${task} at ${atPs} ps, not ${segmentFromPs}`)
          .join(', '),
      },
    ]
  },
}

const WORKLOADS: Workload[] = [blender, folding]

/** Runs an example as its users do; people's text goes through, the last line of stdout comes back. */
function example(program: string, args: string[]) {
  return new Promise<{ code: number | null; lastLine: string }>((resolve, reject) => {
    const child = spawn(process.execPath, ['--conditions=@manyhands/source', program, ...args], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let stdout = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk
    })
    child.once('error', reject)
    child.once('close', (code) => {
      const lastLine = stdout.trim().split('\n').at(-1) ?? ''
      if (lastLine === '') reject(new Error(`${program} ended with ${code} and no report`))
      else resolve({ code, lastLine })
    })
  })
}

const LEFTOVERS = {
  containers: ['ps', '--all', '--quiet', '--no-trunc', '--filter', 'label=manyhands.host'],
  volumes: ['volume', 'ls', '--quiet', '--filter', 'label=manyhands.host'],
}

async function labelled(kind: keyof typeof LEFTOVERS): Promise<Set<string>> {
  const { code, stdout, stderr } = await run('docker', LEFTOVERS[kind])
  if (code !== 0) throw new Error(`docker ${LEFTOVERS[kind].join(' ')}: ${stderr.trim()}`)
  return new Set(stdout.split('\n').filter((line) => line !== ''))
}

/** What was not there before and is there now; other hosts on this engine get time to tidy theirs. */
async function nothingLeft(kind: keyof typeof LEFTOVERS, before: Set<string>): Promise<Check> {
  const deadline = performance.now() + 15_000
  let left = (await labelled(kind)).difference(before)
  while (left.size > 0 && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 250))
    left = left.intersection(await labelled(kind))
  }
  return { name: `no ${kind} left behind`, passed: left.size === 0, detail: [...left].join(' ') }
}

async function checksOf(workload: Workload): Promise<Check[]> {
  try {
    await workload.prepare()
    return await workload.check()
  } catch (error) {
    return [{ name: 'ran to its end', passed: false, detail: String(error) }]
  }
}

async function attempt(workload: Workload): Promise<Check[]> {
  const before = { containers: await labelled('containers'), volumes: await labelled('volumes') }
  return [
    ...(await checksOf(workload)),
    await nothingLeft('containers', before.containers),
    await nothingLeft('volumes', before.volumes),
  ]
}

const trouble = await engineTrouble()
if (trouble !== undefined) {
  const required = Boolean(process.env['CI'])
  console.log(`${required ? 'failed' : 'skipped'}: workloads need Docker, and ${trouble}`)
  console.log(required ? '0 passed, 1 failed' : '0 passed, 0 failed, 1 skipped')
  process.exitCode = required ? 1 : 0
} else {
  const checks: Check[] = []
  for (const workload of WORKLOADS) {
    console.log(workload.name)
    for (const made of await attempt(workload)) {
      checks.push(made)
      say(`${made.passed ? 'ok  ' : 'FAIL'} ${made.name}${made.detail ? ` (${made.detail})` : ''}`)
    }
  }
  const failed = checks.filter((check) => !check.passed).length
  console.log(`${checks.length - failed} passed, ${failed} failed`)
  process.exitCode = failed === 0 ? 0 : 1
}
