/**
 * The second submission of an unchanged project, by a new process with the same state directory, to a
 * host that has it: how long until the task runs, and what travels. Client and host are `manyhands run`
 * and a host process, each in a network namespace, so that the wire is counted at the interfaces, both
 * directions with all headers. Time counts from the start of the command's process. Needs root.
 *
 *   node --conditions=@manyhands/source bench/resubmit.ts [--files 400] [--mb 5] [--rounds 3]
 */
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { runCommand } from './shared/command.ts'
import { startHostProcess } from './shared/host-processes.ts'
import { openNetLab } from './shared/net-lab.ts'
import { NOOP_WASM } from './shared/noop-wasm.ts'
import { writeRandomTree } from './shared/random-file.ts'
import { median, printResult } from './shared/result.ts'
import { makeScratch } from './shared/scratch.ts'

const TIME_LIMIT_MS = 2000
const WIRE_LIMIT_BYTES = 1e6
/** What runs for a moment only may be told as over at once. */
const STARTED = new Set<unknown>(['running', 'collecting', 'completed'])
const { values } = parseArgs({
  options: {
    files: { type: 'string', default: '400' },
    mb: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
  },
})
const files = Number(values.files)
const fileBytes = Number(values.mb) * 1e6
const rounds = Number(values.rounds)

interface Submission {
  /** From the start of the process to the event that the task runs. */
  runningMs: number
  wireBytes: number
  bytesUp: number
}

await using scratch = await makeScratch()
await using lab = await openNetLab()
if (lab !== undefined) {
  const project = join(scratch.path, 'project')
  await writeRandomTree(project, { files, bytes: fileBytes })
  const image = join(scratch.path, 'noop.wasm')
  await writeFile(image, NOOP_WASM)
  const [near, far] = [await lab.addMachine(), await lab.addMachine()]
  await using host = await startHostProcess({
    runtimes: ['wasm'],
    cpus: 1,
    memory: '4GiB',
    disk: '16GiB',
    state: join(scratch.path, 'host'),
    listen: [`/ip4/${far.ip}/tcp/0`],
    inside: far.inside,
  })

  const submit = async (inputs: string[]): Promise<Submission> => {
    await promisify(execFile)('sync')
    const wire = () => near.sentBytes() + far.sentBytes()
    const before = wire()
    let runningAt = Number.NaN
    const args = [
      ...['run', '--runtime', 'wasm', '--image', image, '--jsonl', ...inputs, '--tasks', '1'],
      ...['--bootstrap', host.ready.addresses[0]!, '--state', join(scratch.path, 'client')],
    ]
    const { lines, startedAt, exitCode, said } = await runCommand([...args, '--', 'noop'], {
      inside: near.inside,
      onLine: ({ line, at }) => {
        if (line['event'] === 'attempt' && STARTED.has(line['phase'])) runningAt ||= at
      },
    })
    if (exitCode !== 0) throw new Error(`manyhands run exited with ${exitCode}: ${said}`)
    const bytesUp = Number(lines.at(-1)?.['bytesUp'])
    return { runningMs: runningAt - startedAt, wireBytes: wire() - before, bytesUp }
  }

  const empty = await submit([])
  const first = await submit(['--in', `${project}:/in/project`])
  const again: Submission[] = []
  while (again.length < rounds) again.push(await submit(['--in', `${project}:/in/project`]))

  const runningMs = median(again.map((each) => each.runningMs))
  const wireBytes = Math.max(...again.map((each) => each.wireBytes))
  printResult({
    name: 'resubmission of an unchanged project',
    promise: `runs within ${TIME_LIMIT_MS} ms of the command's start, with less than 1 MB on the wire`,
    value: runningMs,
    unit: 'ms',
    rounds: again.map((each) => each.runningMs),
    against: 'the first submission',
    peer: first.runningMs,
    ratio: runningMs / first.runningMs,
    kept: runningMs < TIME_LIMIT_MS && wireBytes < WIRE_LIMIT_BYTES,
    wireBytes,
    bytesUp: Math.max(...again.map((each) => each.bytesUp)),
    first: { wireBytes: first.wireBytes, bytesUp: first.bytesUp },
    withoutInputMs: empty.runningMs,
    files,
    bytes: files * fileBytes,
  })
}
