/**
 * What a user waits for before anything happens: the import, the first result of a local network, and
 * the whole command for one no-op wasm task. The ratio is against starting Node with nothing to do.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startHostProcesses } from './shared/host-processes.ts'
import { NOOP_WASM } from './shared/noop-wasm.ts'
import { median, printResult } from './shared/result.ts'

const ROUNDS = 5
const ROOT = new URL('../', import.meta.url).pathname
const BIN = `${ROOT}packages/cli/bin/manyhands.js`

const LOCAL_NETWORK = `
  import { createLocalNetwork } from '@manyhands/testing'
  await using network = await createLocalNetwork({ hosts: 1 })
  for await (const result of network.client.map([1], { runtime: 'scripted', image: 'any', command: ['run'] }))
    process.stdout.write(result.ok ? 'first' : 'failed')
`

/** Milliseconds from the start of a process to its end, or to its first output. */
async function time(args: string[], until: 'exit' | 'output' = 'exit'): Promise<number> {
  const startedAt = performance.now()
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  let firstAt: number | undefined
  child.stdout.on('data', () => {
    firstAt ??= performance.now()
  })
  const [code] = await exited
  if (code !== 0) throw new Error(`${args.join(' ')} exited with ${code}`)
  const endedAt = performance.now()
  return (until === 'output' ? (firstAt ?? endedAt) : endedAt) - startedAt
}

async function importMs(): Promise<number> {
  const program = `const t = performance.now(); await import('@manyhands/client'); process.stdout.write(String(performance.now() - t))`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let printed = ''
  for await (const chunk of child.stdout) printed += chunk
  return Number(printed)
}

const dir = await mkdtemp(join(tmpdir(), 'manyhands-bench-'))
try {
  await using hosts = await startHostProcesses(1, { runtimes: ['wasm'], cpus: 4 })
  const module = join(dir, 'noop.wasm')
  await writeFile(module, NOOP_WASM)
  const command = [
    BIN,
    ...['run', '--runtime', 'wasm', '--image', module, '--tasks', '1', '--json'],
    ...['--bootstrap', hosts.addresses[0]!, '--', 'noop'],
  ]
  const figures = { node: [], import: [], network: [], run: [] } as Record<string, number[]>
  await time(command)
  for (let round = 0; round < ROUNDS; round += 1) {
    figures['node']!.push(await time(['-e', '0']))
    figures['import']!.push(await importMs())
    figures['network']!.push(await time(['--input-type=module', '-e', LOCAL_NETWORK], 'output'))
    figures['run']!.push(await time(command))
  }
  const bare = median(figures['node']!)
  const print = (name: string, promise: string, figure: string, limitMs: number) => {
    const value = median(figures[figure]!)
    printResult({
      name,
      promise,
      value,
      unit: 'ms',
      rounds: figures[figure]!,
      against: 'node -e 0',
      peer: bare,
      ratio: value / bare,
      kept: value <= limitMs,
    })
  }
  print('import-client', "import '@manyhands/client' ≤ 400 ms", 'import', 400)
  print(
    'first-result',
    'first result of a local network ≤ 2 s after process start',
    'network',
    2000,
  )
  print('run-command', 'manyhands run of one no-op wasm task ≤ 1.2 s', 'run', 1200)
} finally {
  await rm(dir, { recursive: true })
}
