/**
 * `npm test`: lint, types, unit and integration tests, every example. Ends with one line of the true
 * totals. Without a Docker engine its tests are skipped with one visible line; with CI=true that is a
 * failure.
 */
import { spawn } from 'node:child_process'
import { mkdir, open, readdir, readFile } from 'node:fs/promises'

const root = new URL('../', import.meta.url).pathname
const bin = `${root}node_modules/.bin/`
const report = `${root}out/test-report.json`

interface Totals {
  passed: number
  failed: number
  skipped: number
}

interface Report {
  numPassedTests: number
  numFailedTests: number
  numPendingTests: number
  numFailedTestSuites: number
  testResults: { name: string; assertionResults: TestReport[] }[]
}

interface TestReport {
  fullName: string
  status: string
  /** Of every try. */
  failureMessages: string[]
}

const totals: Totals = { passed: 0, failed: 0, skipped: 0 }

interface Step {
  name: string
  command: string
  args: string[]
  timeoutMs: number
}

/** @param output where it prints */
function run(
  { command, args, timeoutMs }: Omit<Step, 'name'>,
  output: 'inherit' | number,
): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      stdio: ['ignore', output, output],
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    })
    child.once('error', () => resolve(127))
    child.once('exit', (code) => resolve(code ?? 1))
  })
}

/** Two at a time, since most of each is waiting; what one prints comes in one piece, when it has ended. */
async function steps(all: Step[]): Promise<void> {
  const left = all.values()
  const worker = async () => {
    for (const step of left) {
      const startedAt = performance.now()
      // A file, not a pipe: nothing that a step leaves running can hold that open.
      const log = `${root}out/${step.name.replaceAll('/', '-')}.log`
      await using file = await open(log, 'w')
      const code = await run(step, file.fd)
      const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
      const said = await readFile(log, 'utf8')
      console.log(`\n── ${step.name}\n${said.trimEnd()}`)
      console.log(`${code === 0 ? 'ok' : `FAILED (exit ${code})`} · ${step.name} · ${seconds} s`)
      totals[code === 0 ? 'passed' : 'failed'] += 1
    }
  }
  await Promise.all([worker(), worker()])
}

await mkdir(`${root}out`, { recursive: true })
const tsc = ['--noEmit', '-p', 'tsconfig.json']
await steps([
  {
    name: 'lint',
    command: `${bin}biome`,
    args: ['check', '--error-on-warnings', '.'],
    timeoutMs: 120_000,
  },
  { name: 'types', command: `${bin}tsc`, args: tsc, timeoutMs: 300_000 },
])

console.log('\n── tests')
const code = await run(
  {
    command: `${bin}vitest`,
    args: [
      'run',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
      // A machine that others use, too, may stop for a second at the worst moment. Who needed it is listed.
      `--retry=${process.env.CI === 'true' ? 1 : 0}`,
    ],
    timeoutMs: 65 * 60_000,
  },
  'inherit',
)
try {
  const counts = JSON.parse(await readFile(report, 'utf8')) as Report
  totals.passed += counts.numPassedTests
  totals.failed += counts.numFailedTests
  totals.skipped += counts.numPendingTests
  // A file that cannot even be loaded has no tests that could fail.
  if (code !== 0 && counts.numFailedTests === 0)
    totals.failed += Math.max(1, counts.numFailedTestSuites)
  for (const { name, assertionResults } of counts.testResults) {
    for (const { fullName, status, failureMessages } of assertionResults) {
      if (status !== 'passed' || failureMessages.length === 0) continue
      console.log(`passed at the second try only: ${name.replace(root, '')} › ${fullName}`)
      console.log(failureMessages[0])
    }
  }
} catch {
  totals.failed += 1
}

const examples = (await readdir(`${root}examples`)).filter((name) => name.endsWith('.ts')).sort()
await steps(
  examples.map((example) => ({
    name: `examples/${example}`,
    command: process.execPath,
    args: ['--conditions=@manyhands/source', `examples/${example}`],
    timeoutMs: 120_000,
  })),
)

const skipped = totals.skipped > 0 ? `, ${totals.skipped} skipped` : ''
console.log(`\n${totals.passed} passed, ${totals.failed} failed${skipped}`)
process.exitCode = totals.failed === 0 ? 0 : 1
