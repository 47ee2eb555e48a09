/**
 * Artifact transfer between two processes on loopback, disk to disk and verified, beside scp and
 * `tar | ssh tar` in the same run: one large file, and a tree of many small ones. Files are new in each
 * round, and who goes first changes. Where a figure has two values the sender's comes first; MB are
 * 10^6 bytes.
 *
 *   node --conditions=@manyhands/source bench/artifact-transfer.ts [--mib 1024] [--files 2000] [--rounds 3]
 *
 * Ours counts connect, fetch, verification, fsync and placing; the others count their processes, as that
 * is how they are used, and neither verify nor sync. The sender's hashing, which they have not, is told
 * apart as `addMs`; `ratioHashed` compares with it, and with sha256sum at both ends for the others.
 */
import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { peakRssOf, resetPeak, rssOf, spentMsOf } from './shared/process-usage.ts'
import { writeRandomFile, writeRandomTree } from './shared/random-file.ts'
import { median, printResult } from './shared/result.ts'
import { makeScratch } from './shared/scratch.ts'
import { type SecureShell, startSecureShell } from './shared/secure-shell.ts'
import { startTransferPeer, type TransferPeer } from './shared/transfer-peers.ts'

const RSS_LIMIT_MIB = 128
const SMALL_FILE_BYTES = 64 * 1024
const { values } = parseArgs({
  options: {
    mib: { type: 'string', default: '1024' },
    files: { type: 'string', default: '2000' },
    rounds: { type: 'string', default: '3' },
  },
})
const rounds = Number(values.rounds)
const SHA256SUM = 'find "$1" -type f -exec sha256sum {} + >/dev/null'
const run = promisify(execFile)
const shell = (script: string, ...args: string[]) => run('sh', ['-ec', script, '-', ...args])

/** One way from a path to another, and what it took in each round, ms. */
interface Way {
  copy: (source: string, target: string) => Promise<number>
  ms: number[]
  /** What sha256sum took of what was copied. */
  hashMs: number[]
}

/** With what it costs both sides, the sender first, per round: bytes of growth, ms on a processor. */
interface OurWay extends Way {
  grown: [number[], number[]]
  cpuMs: [number[], number[]]
}

interface Plan {
  name: string
  write: (path: string) => Promise<void>
  bytes: number
  files: number
  /** The way that the promise is about. */
  against: 'scp' | 'tar | ssh tar'
  atLeast: number
  others: ('scp' | 'tar | ssh tar')[]
}

await using scratch = await makeScratch()
const dir = scratch.path
await using sender = await startTransferPeer({ dir: join(dir, 'sender') })
await using receiver = await startTransferPeer({ dir: join(dir, 'receiver') })
await using ssh = await startSecureShell(dir)
const sides = { sender, receiver, ssh }
const bytes = Number(values.mib) * 1024 ** 2
await measure(sides, {
  name: 'one large file from disk to disk',
  write: (path) => writeRandomFile(path, bytes),
  bytes,
  files: 1,
  against: 'scp',
  atLeast: 1.5,
  others: ['scp'],
})
const files = Number(values.files)
await measure(sides, {
  name: 'many small files from disk to disk',
  write: (path) => writeRandomTree(path, { files, bytes: SMALL_FILE_BYTES }),
  bytes: files * SMALL_FILE_BYTES,
  files,
  against: 'tar | ssh tar',
  atLeast: 1,
  others: ['scp', 'tar | ssh tar'],
})

interface Sides {
  sender: TransferPeer
  receiver: TransferPeer
  ssh: SecureShell | undefined
}

async function measure(sides: Sides, plan: Plan): Promise<void> {
  const ours = ourWay(sides)
  const ways = new Map<string, Way>()
  if (sides.ssh !== undefined) {
    for (const name of plan.others) ways.set(name, sshWay(name, sides.ssh))
  }
  for (let round = 0; round < rounds; round += 1) {
    const source = join(dir, `source-${round}`)
    await plan.write(source)
    const all = [ours, ...ways.values()]
    // Turned round each time, so that a slow moment of the machine hits everyone.
    for (const way of round % 2 === 0 ? all : all.reverse()) {
      const target = join(dir, 'target')
      await run('sync')
      way.ms.push(await way.copy(source, target))
      await run('diff', ['-rq', source, target])
      if (way !== ours) {
        const began = performance.now()
        for (const path of [source, target]) await shell(SHA256SUM, path)
        way.hashMs.push(performance.now() - began)
      }
      await shell('rm -rf "$@"', target, join(dir, 'into'))
    }
    await rm(source, { recursive: true })
  }
  report(plan, ours, ways)
}

function ourWay({ sender, receiver }: Sides): OurWay {
  const hashMs: number[] = []
  const grown: [number[], number[]] = [[], []]
  const cpuMs: [number[], number[]] = [[], []]
  const pids = [sender.pid, receiver.pid]
  const copy = async (source: string, target: string) => {
    const { root, ms } = await sender.ask('add', { path: source })
    hashMs.push(ms)
    for (const pid of pids) resetPeak(pid)
    const before = pids.map((pid) => ({ rss: rssOf(pid), cpuMs: spentMsOf(pid) }))
    const { address } = sender
    const into = join(dir, 'into')
    const { placedMs } = await receiver.ask('fetch', { address, root, target, into })
    for (const [side, pid] of pids.entries()) {
      grown[side]!.push(peakRssOf(pid) - before[side]!.rss)
      cpuMs[side]!.push(spentMsOf(pid) - before[side]!.cpuMs)
    }
    return placedMs
  }
  return { copy, ms: [], hashMs, grown, cpuMs }
}

function sshWay(name: Plan['against'], { target: user, ssh, scp }: SecureShell): Way {
  const timed = async (work: () => Promise<unknown>) => {
    const began = performance.now()
    await work()
    return performance.now() - began
  }
  const copy: Record<Plan['against'], Way['copy']> = {
    scp: (source, target) =>
      timed(() => run('scp', [...scp, '-r', '-q', `${user}:${source}`, target])),
    'tar | ssh tar': (source, target) => {
      const script =
        'source=$1; target=$2; shift 2; ' +
        'tar -C "$source" -cf - . | ssh "$@" "mkdir $target && tar -C $target -xf -"'
      return timed(() => shell(script, source, target, ...ssh, user))
    },
  }
  return { copy: copy[name], ms: [], hashMs: [] }
}

function report(plan: Plan, ours: OurWay, ways: Map<string, Way>): void {
  const rate = (ms: number) => plan.bytes / ms / 1000
  const ms = median(ours.ms)
  const peer = ways.get(plan.against)
  const ratio = peer === undefined ? null : median(peer.ms) / ms
  const hashed = ms + median(ours.hashMs)
  const rssGrowthMiB = ours.grown.map((side) => Math.max(...side) / 1024 ** 2)
  const kept = ratio !== null && ratio >= plan.atLeast
  printResult({
    name: plan.name,
    promise: `≥ ${plan.atLeast} × ${plan.against}, and less than ${RSS_LIMIT_MIB} MiB more memory on either side`,
    value: rate(ms),
    unit: 'MB/s',
    rounds: ours.ms.map(rate),
    against: `${plan.against}, which neither verifies nor syncs`,
    peer: peer === undefined ? null : rate(median(peer.ms)),
    ratio,
    kept: kept && Math.max(...rssGrowthMiB) < RSS_LIMIT_MIB,
    goal: 2,
    peerRounds: peer?.ms.map(rate) ?? [],
    ratioHashed: peer === undefined ? null : (median(peer.ms) + median(peer.hashMs)) / hashed,
    addMs: median(ours.hashMs),
    others: Object.fromEntries([...ways].map(([name, way]) => [name, rate(median(way.ms))])),
    bytes: plan.bytes,
    files: plan.files,
    rssGrowthMiB,
    cpuSeconds: ours.cpuMs.map((side) => median(side) / 1000),
  })
}
