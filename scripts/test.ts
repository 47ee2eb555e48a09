/**
 * `npm test`: lint, types, unit and integration tests, every example. Ends with one line of the true
 * totals. Without a Docker engine its tests are skipped with one visible line; with CI=true that is a
 * failure.
 */
import { spawn } from 'node:child_process'
import { mkdir, readdir, readFile } from 'node:fs/promises'

const root = new URL('../', import.meta.url).pathname
const bin = `${root}node_modules/.bin/`
const report = `${root}out/test-report.json`

interface Totals {
  passed: number
  failed: number
  skipped: number
}

const totals: Totals = { passed: 0, failed: 0, skipped: 0 }

function run(command: string, args: string[], timeoutMs: number): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    })
    child.once('error', () => resolve(127))
    child.once('exit', (code) => resolve(code ?? 1))
  })
}

async function step(
  name: string,
  command: string,
  args: string[],
  timeoutMs: number,
): Promise<void> {
  const startedAt = performance.now()
  console.log(`\n── ${name}`)
  const code = await run(command, args, timeoutMs)
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
  console.log(`${code === 0 ? 'ok' : `FAILED (exit ${code})`} · ${name} · ${seconds} s`)
  totals[code === 0 ? 'passed' : 'failed'] += 1
}

await mkdir(`${root}out`, { recursive: true })
await step('lint', `${bin}biome`, ['check', '--error-on-warnings', '.'], 120_000)
await step('types', `${bin}tsc`, ['--noEmit', '-p', 'tsconfig.json'], 300_000)

console.log('\n── tests')
const code = await run(
  `${bin}vitest`,
  ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`],
  40 * 60_000,
)
try {
  const counts = JSON.parse(await readFile(report, 'utf8')) as {
    numPassedTests: number
    numFailedTests: number
    numPendingTests: number
    numFailedTestSuites: number
  }
  totals.passed += counts.numPassedTests
  totals.failed += counts.numFailedTests
  totals.skipped += counts.numPendingTests
  // A file that cannot even be loaded has no tests that could fail.
  if (code !== 0 && counts.numFailedTests === 0)
    totals.failed += Math.max(1, counts.numFailedTestSuites)
} catch {
  totals.failed += 1
}

const examples = (await readdir(`${root}examples`)).filter((name) => name.endsWith('.ts')).sort()
for (const example of examples) {
  await step(
    `examples/${example}`,
    process.execPath,
    ['--conditions=@manyhands/source', `examples/${example}`],
    120_000,
  )
}

const skipped = totals.skipped > 0 ? `, ${totals.skipped} skipped` : ''
console.log(`\n${totals.passed} passed, ${totals.failed} failed${skipped}`)
process.exitCode = totals.failed === 0 ? 0 : 1
