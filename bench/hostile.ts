/**
 * How long honest calls take while hostile peers are at work at the same peer, against the same calls
 * without them, what its memory grows by, and how soon the first of them is banned.
 *
 *   node --conditions=@manyhands/source bench/hostile.ts [--calls 1500] [--every 5] [--rounds 3]
 *
 * Each attack is a process of its own and less urgent than the others: what is looked at is what it costs
 * the peer, not the machine; `cores` is what the peer computes more than without it. The calls begin with the attack, so the time before the ban is among them.
 */
import { parseArgs } from 'node:util'
import { startAttack } from '../packages/testing/test/hostile/start-attack.ts'
import type { AskingCalls } from './shared/asking-peer.ts'
import type { AttackedCalls } from './shared/attacked-peer.ts'
import { startCallee } from './shared/calls.ts'
import { median, percentile, printResult } from './shared/result.ts'

const LIMIT = 2
const BAN_MS = 5000
const RSS_MIB = 128
const MIB = 1024 ** 2
const KINDS = ['slow-loris', 'malformed', 'unread', 'identities'] as const

const { values } = parseArgs({
  options: {
    calls: { type: 'string', default: '1500' },
    every: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
  },
})
const asked = { count: Number(values.calls), everyMs: Number(values.every) }
const scriptOf = (name: string) => new URL(`./shared/${name}.ts`, import.meta.url).pathname

for (const kind of KINDS) {
  const quiet: number[] = []
  const attacked: number[] = []
  const grownMiB: number[] = []
  const banMs: number[] = []
  const cores: number[] = []
  for (let round = 0; round < Number(values.rounds); round += 1) {
    // Another peer for each: what was banned is forgotten.
    await using peer = await startCallee<AttackedCalls, { addresses: string[] }>({
      script: scriptOf('attacked-peer'),
    })
    const address = peer.hello.addresses[0]!
    await using honest = await startCallee<AskingCalls, object>({
      script: scriptOf('asking-peer'),
      argument: { address },
    })
    // Everything is compiled before the first moment that counts.
    await honest.ask('ask', { count: 300, everyMs: 1 })
    await peer.ask('seen', null)
    quiet.push(percentile(await honest.ask('ask', asked), 0.99))
    const { mostRss, cores: quietCores } = await peer.ask('seen', null)
    {
      await using _ = await startAttack(kind, address)
      const beganAt = Date.now()
      attacked.push(percentile(await honest.ask('ask', asked), 0.99))
      const seen = await peer.ask('seen', null)
      grownMiB.push(Math.max(0, seen.mostRss - mostRss) / MIB)
      cores.push(seen.cores - quietCores)
      banMs.push(Math.max(0, (seen.bannedAt ?? Number.POSITIVE_INFINITY) - beganAt))
    }
  }
  const value = median(attacked)
  const against = median(quiet)
  printResult({
    name: `calls under attack: ${kind}`,
    promise: `p99 ≤ ${LIMIT} × the p99 without the attack; memory + ≤ ${RSS_MIB} MiB; a ban within ${BAN_MS / 1000} s`,
    value,
    unit: 'ms',
    rounds: attacked,
    against: 'the same calls without the attack',
    peer: against,
    ratio: value / against,
    grownMiB: Math.max(...grownMiB),
    cores: median(cores),
    banMs: Math.max(...banMs),
    kept:
      value <= LIMIT * against && Math.max(...grownMiB) <= RSS_MIB && Math.max(...banMs) <= BAN_MS,
  })
}
