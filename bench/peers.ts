/**
 * The same file from one process to another on loopback, disk to disk: ours, webtorrent, and helia with
 * bitswap. Their exact versions are in bench/peers, which is installed on the first run (318 MB). Files
 * are new in each round, and who goes first changes. MB are 10^6 bytes.
 *
 *   node --conditions=@manyhands/source bench/peers.ts [--mib 256,1024] [--rounds 3] [--only webtorrent]
 *
 * Time counts from the connection to the verified file; hashing or importing at the sender is apart as
 * `preparedMs`, and `ratioPrepared` has it included on both sides.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { type Callee, startCallee } from './shared/calls.ts'
import { writeRandomFile } from './shared/random-file.ts'
import { median, printResult } from './shared/result.ts'
import { makeScratch } from './shared/scratch.ts'
import { startTransferPeer } from './shared/transfer-peers.ts'

const PEERS = new URL('./peers/', import.meta.url).pathname
const NAMES = ['webtorrent', 'helia'] as const
const { values } = parseArgs({
  options: {
    mib: { type: 'string', default: '256,1024' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string' },
  },
})
const run = promisify(execFile)

/** What programs in bench/peers do. */
type PeerCalls = {
  seed: {
    params: { path: string; dir: string }
    result: { address: string; content: string; ms: number }
  }
  leech: {
    params: { address: string; content: string; dir: string }
    result: { ms: number; path: string }
  }
}

/** One way of a file to a path below a directory; answers with the path. */
interface Way {
  name: string
  copy: (source: string, dir: string) => Promise<string>
  ms: number[]
  preparedMs: number[]
}

await using scratch = await makeScratch()
await using ended = new AsyncDisposableStack()
const ours = await ourWay()
const others: Way[] = []
for (const name of (await installPeers()) ? NAMES : []) {
  if (values.only === undefined || values.only === name) others.push(await peerWay(name))
}
for (const mib of values.mib.split(',')) await measure(Number(mib) * 1024 ** 2)

async function measure(bytes: number): Promise<void> {
  for (const way of [ours, ...others]) Object.assign(way, { ms: [], preparedMs: [] })
  for (let round = 0; round < Number(values.rounds); round += 1) {
    const source = join(scratch.path, 'source')
    await writeRandomFile(source, bytes)
    const ways = [ours, ...others]
    for (const way of round % 2 === 0 ? ways : ways.reverse()) {
      const dir = join(scratch.path, 'round')
      await mkdir(dir)
      await run('sync')
      await run('cmp', [source, await way.copy(source, dir)])
      await rm(dir, { recursive: true })
    }
    await rm(source)
  }
  for (const way of others) await report(bytes, way)
}

async function report(bytes: number, way: Way): Promise<void> {
  const rate = (ms: number) => bytes / ms / 1000
  const sum = ({ ms, preparedMs }: Way) => median(ms) + median(preparedMs)
  const ratio = median(way.ms) / median(ours.ms)
  const manifest = await readFile(`${PEERS}node_modules/${way.name}/package.json`, 'utf8')
  printResult({
    name: `${bytes / 1024 ** 2} MiB beside ${way.name}`,
    promise: `faster than ${way.name}`,
    value: rate(median(ours.ms)),
    unit: 'MB/s',
    rounds: ours.ms.map(rate),
    against: `${way.name} ${JSON.parse(manifest).version}`,
    peer: rate(median(way.ms)),
    ratio,
    kept: ratio > 1,
    peerRounds: way.ms.map(rate),
    preparedMs: median(ours.preparedMs),
    peerPreparedMs: median(way.preparedMs),
    ratioPrepared: sum(way) / sum(ours),
    bytes,
  })
}

async function ourWay(): Promise<Way> {
  const dir = (name: string) => join(scratch.path, name)
  const sender = ended.use(await startTransferPeer({ dir: dir('sender') }))
  const receiver = ended.use(await startTransferPeer({ dir: dir('receiver') }))
  const way: Way = {
    name: 'manyhands',
    async copy(source, place) {
      const { root, ms } = await sender.ask('add', { path: source })
      const target = join(place, 'file')
      const into = join(place, 'store')
      const { address } = sender
      const { placedMs } = await receiver.ask('fetch', { address, root, target, into })
      way.preparedMs.push(ms)
      way.ms.push(placedMs)
      return target
    },
    ms: [],
    preparedMs: [],
  }
  return way
}

async function peerWay(name: string): Promise<Way> {
  const start = async (): Promise<Callee<PeerCalls, unknown>> =>
    ended.use(await startCallee({ script: `${PEERS}${name}.js` }))
  const [seeder, leecher] = [await start(), await start()]
  const way: Way = {
    name,
    async copy(source, place) {
      const [from, to] = [join(place, 'from'), join(place, 'to')]
      await Promise.all([mkdir(from), mkdir(to)])
      const { address, content, ms } = await seeder.ask('seed', { path: source, dir: from })
      const leeched = await leecher.ask('leech', { address, content, dir: to })
      way.preparedMs.push(ms)
      way.ms.push(leeched.ms)
      return leeched.path
    },
    ms: [],
    preparedMs: [],
  }
  return way
}

/** Whether they are there; without a registry and without them there is nothing to compare with. */
async function installPeers(): Promise<boolean> {
  const installed = `${PEERS}node_modules/.package-lock.json`
  const lockedAt = (await stat(`${PEERS}package-lock.json`)).mtimeMs
  if (existsSync(installed) && (await stat(installed)).mtimeMs >= lockedAt) return true
  process.stderr.write('installing what is compared with into bench/peers\n')
  try {
    // None of the scripts is needed: what they build is for other transports.
    const options = ['--ignore-scripts', '--no-audit', '--no-fund']
    await run('npm', ['ci', ...options], { cwd: PEERS })
    return true
  } catch (error) {
    process.stderr.write(`Not compared: npm ci in bench/peers failed (${error})\n`)
    return false
  }
}
