/**
 * How long a small call takes while a bulk transfer has all it can get between the same two processes,
 * against the same calls without it, in both directions. Calls go out at fixed times, answered or not.
 *
 *   node --conditions=@manyhands/source bench/rpc-under-bulk.ts [--mib 1024] [--calls 2000] [--every 2]
 *
 * `from: receiver` are the calls of the peer that receives the bulk. `computing` is the p99
 * beside programs that only compute, one for each processor and less urgent than anything else: what the
 * machine's scheduler makes of processors that are busy.
 */
import { spawn } from 'node:child_process'
import { availableParallelism, constants, setPriority } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { atExit } from './shared/at-exit.ts'
import { writeRandomFile } from './shared/random-file.ts'
import { median, percentile, printResult } from './shared/result.ts'
import { makeScratch } from './shared/scratch.ts'
import { startTransferPeer, type TransferPeer } from './shared/transfer-peers.ts'

const LIMIT = 3
/** Ends by itself, should nobody be left to end it. */
const COMPUTES = 'const end = Date.now() + 120_000; while (Date.now() < end);'
const { values } = parseArgs({
  options: {
    mib: { type: 'string', default: '1024' },
    calls: { type: 'string', default: '2000' },
    every: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '3' },
  },
})
const count = Number(values.calls)
const everyMs = Number(values.every)

interface Heard {
  ms: number[]
  lateMs: number[]
}
/** What both peers measured in one moment. */
type Moment = Record<'sender' | 'receiver', Heard>

await using scratch = await makeScratch()
await using sender = await startTransferPeer({ dir: join(scratch.path, 'sender') })
await using receiver = await startTransferPeer({ dir: join(scratch.path, 'receiver') })
const source = join(scratch.path, 'source')
await writeRandomFile(source, Number(values.mib) * 1024 ** 2)
const { root, size } = await sender.ask('add', { path: source })

// Connected, and everything is compiled, before the first moment that counts.
await fetchOnce()
await calls()

const quiet: Moment[] = []
const busy: Moment[] = []
const computing: Moment[] = []
const rates: number[] = []
for (let round = 0; round < Number(values.rounds); round += 1) {
  quiet.push(await calls())
  const stop = saturate()
  busy.push(await calls())
  rates.push(await stop())
  const end = compute()
  computing.push(await calls())
  end()
}
for (const from of ['receiver', 'sender'] as const) report(from)

/** Into a store that stays open, as a host's does: what it takes to begin is not what is measured. */
async function fetchOnce(): Promise<number> {
  const { ms } = await receiver.ask('fetch', { address: sender.address, root })
  await receiver.ask('release', { root })
  return ms
}

/** One transfer after another until it is told to stop; answers with the rate, MB/s. */
function saturate(): () => Promise<number> {
  let stopped = false
  const all: number[] = []
  const running = (async () => {
    while (!stopped) all.push(await fetchOnce())
  })()
  return async () => {
    stopped = true
    await running
    return (size * all.length) / all.reduce((sum, ms) => sum + ms, 0) / 1000
  }
}

/** Every processor has something to do until it is told to stop. */
function compute(): () => void {
  const programs = Array.from({ length: availableParallelism() }, () => {
    const program = spawn(process.execPath, ['-e', COMPUTES], { stdio: 'ignore' })
    setPriority(program.pid!, constants.priority.PRIORITY_LOW)
    return program
  })
  const kill = () => {
    for (const program of programs) program.kill('SIGKILL')
  }
  const exit = atExit(kill)
  return () => {
    exit.cancel()
    kill()
  }
}

async function calls(): Promise<Moment> {
  const of = (from: TransferPeer, to: TransferPeer) =>
    from.ask('calls', { peer: to.peerId, count, everyMs })
  const [ofSender, ofReceiver] = await Promise.all([of(sender, receiver), of(receiver, sender)])
  return { sender: ofSender, receiver: ofReceiver }
}

function report(from: 'sender' | 'receiver'): void {
  const at = (moments: Moment[], share: number, what: keyof Heard = 'ms') =>
    moments.map((moment) => percentile(moment[from][what], share))
  const value = median(at(busy, 0.99))
  const peer = median(at(quiet, 0.99))
  printResult({
    name: `calls beside a bulk transfer, from: ${from}`,
    promise: `p99 ≤ ${LIMIT} × the p99 of an idle connection`,
    value,
    unit: 'ms',
    rounds: at(busy, 0.99),
    against: 'the same connection without a transfer',
    peer,
    ratio: value / peer,
    kept: value / peer <= LIMIT,
    peerRounds: at(quiet, 0.99),
    computing: median(at(computing, 0.99)),
    computingRounds: at(computing, 0.99),
    p50: { idle: median(at(quiet, 0.5)), busy: median(at(busy, 0.5)) },
    lateP99: { idle: median(at(quiet, 0.99, 'lateMs')), busy: median(at(busy, 0.99, 'lateMs')) },
    bulkMBps: median(rates),
    calls: count,
    everyMs,
  })
}
