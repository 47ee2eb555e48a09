/**
 * How soon a client that knows nobody has two hosts on its LAN: from `createClient()` to the end of
 * `waitForHosts({ min: 2 })`, over multicast DNS alone. Three computers, which are network namespaces on one
 * switch.
 *
 *   node --conditions=@manyhands/source bench/lan.ts [--rounds 25]
 *
 * The first round loads the program and is told apart. Root and iproute2 are needed.
 */
import { execFile } from 'node:child_process'
import { parseArgs, promisify } from 'node:util'
import { startHostProcess } from './shared/host-processes.ts'
import { openNetLab } from './shared/net-lab.ts'
import { median, percentile, printResult } from './shared/result.ts'

const GOAL_MS = 1_000
const { values } = parseArgs({ options: { rounds: { type: 'string', default: '25' } } })
const CLIENT = new URL('./shared/lan-client.ts', import.meta.url).pathname
const run = promisify(execFile)

await using lab = await openNetLab()
if (lab !== undefined) {
  const machines = [await lab.addMachine(), await lab.addMachine(), await lab.addMachine()]
  for (const { inside } of machines) {
    // As a default route would have it.
    const [program, ...args] = [...inside, 'ip', 'route', 'add', '224.0.0.0/4', 'dev', 'eth0']
    await run(program!, args)
  }
  await using stack = new AsyncDisposableStack()
  for (const { inside } of machines.slice(1)) {
    const listen = ['/ip4/0.0.0.0/tcp/0']
    const options = { runtimes: ['scripted' as const], cpus: 1, listen, mdns: true, inside }
    stack.use(await startHostProcess(options))
  }
  const node = [process.execPath, ...process.execArgv, CLIENT, String(Number(values.rounds) + 1)]
  const [program, ...args] = [...machines[0]!.inside, ...node]
  const { stdout } = await run(program!, args)
  const [first, ...took] = JSON.parse(stdout) as number[]
  printResult({
    name: 'lan: two hosts',
    promise: `a client has two hosts on its LAN within ${GOAL_MS / 1000} s (median)`,
    value: median(took),
    unit: 'ms',
    rounds: took,
    against: 'goal',
    peer: GOAL_MS,
    ratio: median(took) / GOAL_MS,
    kept: median(took) <= GOAL_MS,
    p90: percentile(took, 0.9),
    first,
  })
}
