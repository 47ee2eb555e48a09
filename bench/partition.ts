/**
 * How soon both sides know all of each other again when a way that was cut is healed: a client and two hosts
 * in network namespaces, one of them cut off while tasks run, by dropping packets and by resetting
 * connections, for 0.4, 1.5 and 3 leases. Needs root, iproute2 and nftables.
 *
 *   npm run bench -- partition [--rounds 5] [--heartbeat 200] [--kinds drop,reset] [--leases 0.4,1.5,3]
 */
import { parseArgs } from 'node:util'
import { noNamespaces } from '../packages/testing/test/namespaces/namespace.ts'
import { type SplitKind, SplitNetwork } from '../packages/testing/test/namespaces/split-network.ts'
import { median, printResult } from './shared/result.ts'

/** Heartbeats from the healing on. */
const CONVERGED = 3
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    heartbeat: { type: 'string', default: '200' },
    kinds: { type: 'string', default: 'drop,reset' },
    leases: { type: 'string', default: '0.4,1.5,3' },
  },
})
const heartbeatMs = Number(values.heartbeat)
const TASKS = 4

const missing = noNamespaces()
if (missing !== undefined) process.stderr.write(`Not measured: ${missing}\n`)
else {
  for (const kind of values.kinds.split(',') as SplitKind[]) {
    await using network = await SplitNetwork.create({ heartbeatMs, hosts: ['a', 'b'], cpus: 2 })
    for (const leases of values.leases.split(',').map(Number)) await measure(network, kind, leases)
  }
}

async function measure(network: SplitNetwork, kind: SplitKind, leases: number): Promise<void> {
  const rounds: number[] = []
  let twice = 0
  let lost = 0
  let again = 0
  for (let round = 0; round < Number(values.rounds); round += 1) {
    // They outlast what is cut, so that both sides still have something of each other.
    const seconds = Math.ceil((leases * network.leaseMs) / 1000) + 1
    const report = await network.run(
      {
        ...{ runtime: 'scripted', image: 'any', command: ['run', '--for', `${seconds}s`] },
        tasks: `1-${TASKS}`,
      },
      {
        ...{ kind, leases, hosts: ['a'] },
        moment: () => network.told(({ phase }) => phase === 'running', TASKS),
      },
    )
    rounds.push(report.convergedMs / heartbeatMs)
    const results = Object.values(report.results)
    twice += results.filter(({ times }) => times > 1).length
    lost += TASKS - results.filter(({ ok }) => ok).length
    again += Object.values(report.ran).reduce((sum, runs) => sum + runs - 1, 0)
  }
  const value = median(rounds)
  printResult({
    name: `partition ${kind} ${leases} L`,
    promise: `converged ≤ ${CONVERGED} H after the healing; 0 lost, 0 accepted twice`,
    value,
    unit: 'H',
    rounds,
    against: 'the promise',
    peer: CONVERGED,
    ratio: value / CONVERGED,
    kept: Math.max(...rounds) <= CONVERGED && twice === 0 && lost === 0,
    heartbeatMs,
    acceptedTwice: twice,
    lost,
    sentOutAgain: again,
    tasks: TASKS * rounds.length,
  })
}
