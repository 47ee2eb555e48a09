/**
 * What a new version of a file or tree costs when the receiver has the old one: bytes on the wire, both
 * directions with all headers, against the size of the new version; beside rsync over ssh in the same
 * run. Processes run in a network namespace of their own, so that its loopback counts nothing else;
 * without root only content is counted, as the sender counts it.
 *
 *   node --conditions=@manyhands/source bench/dedupe.ts [--mib 1024] [--only insertion]
 *
 * `addMs` is the sender's look at the new version, `ms` the transfer; rsync does both at once.
 */
import { execFile } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { cp, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { parseArgs, promisify } from 'node:util'
import { type LabMachine, openNetLab } from './shared/net-lab.ts'
import { writeRandomFile, writeRandomTree } from './shared/random-file.ts'
import { printResult } from './shared/result.ts'
import { makeScratch } from './shared/scratch.ts'
import { type SecureShell, startSecureShell } from './shared/secure-shell.ts'
import { startTransferPeer, type TransferPeer } from './shared/transfer-peers.ts'

const TREE_FILES = 64
const CHANGED_SHARE = 0.01
const INSERTED_BYTES = 1000
const { values } = parseArgs({
  options: { mib: { type: 'string', default: '1024' }, only: { type: 'string' } },
})
const bytes = Number(values.mib) * 1024 ** 2
const run = promisify(execFile)

/** A new version, and how much of it may travel. */
interface Change {
  name: string
  base: string
  make: (base: string, path: string) => Promise<void>
  /** Of the whole. */
  limit: number
}

await using scratch = await makeScratch()
const at = (name: string) => join(scratch.path, name)
await using lab = await openNetLab()
const machine = await lab?.addMachine()
const inside = machine?.inside ?? []
await using sender = await startTransferPeer({ dir: at('sender'), inside })
await using receiver = await startTransferPeer({ dir: at('receiver'), inside })
await using ssh = await startSecureShell(scratch.path, inside)
const rsync = await hasRsync(ssh)

await writeRandomFile(at('file'), bytes)
await writeRandomTree(at('tree'), { files: TREE_FILES, bytes: bytes / TREE_FILES })
const changes: Change[] = [1, 10, 40].map((ranges) => ({
  name: `1 % changed in place, in ${ranges === 1 ? 'one range' : `${ranges} ranges`}`,
  base: at('file'),
  make: (base, path) => changeInPlace(base, path, ranges),
  limit: 0.03,
}))
changes.push(
  { name: 'an insertion at the head', base: at('file'), make: insertAtHead, limit: 0.1 },
  // The file itself, its share of headers, and the tree's new manifest.
  { name: 'a tree with one changed file', base: at('tree'), make: changeFile, limit: 1.1 / 64 },
)
const known = new Set<string>()
for (const change of changes) {
  if (values.only === undefined || change.name.includes(values.only)) await measure(change)
}

async function measure(change: Change): Promise<void> {
  if (!known.has(change.base)) {
    const { root } = await sender.ask('add', { path: change.base })
    await receiver.ask('fetch', { address: sender.address, root })
    known.add(change.base)
  }
  const next = at('next')
  await change.make(change.base, next)
  await run('sync')
  const ours = await throughStores({ sender, receiver, machine }, next)
  const theirs = rsync ? await throughRsync(ssh!, change.base, next) : undefined
  await rm(next, { recursive: true })
  const sent = ours.wireBytes ?? ours.contentBytes
  const share = sent / ours.size
  printResult({
    name: `dedupe: ${change.name}`,
    promise: `sends ≤ ${(change.limit * 100).toPrecision(2)} % of the whole`,
    value: sent,
    unit: 'bytes',
    against: 'rsync over ssh, both directions',
    peer: theirs?.bytes ?? null,
    ratio: theirs === undefined ? null : sent / theirs.bytes,
    kept: share <= change.limit,
    share,
    rsyncShare: theirs === undefined ? null : theirs.bytes / ours.size,
    contentBytes: ours.contentBytes,
    countedOn: machine === undefined ? 'content' : 'wire',
    addMs: ours.addMs,
    ms: ours.ms,
    rsyncMs: theirs?.ms ?? null,
    size: ours.size,
  })
}

async function throughStores(
  sides: { sender: TransferPeer; receiver: TransferPeer; machine: LabMachine | undefined },
  path: string,
) {
  const { root, size, ms: addMs } = await sides.sender.ask('add', { path })
  const wireBefore = sides.machine?.loopbackBytes()
  const before = await sides.sender.ask('sent', {})
  const target = at('target')
  const { address } = sides.sender
  const { placedMs: ms } = await sides.receiver.ask('fetch', { address, root, target })
  const wireAfter = sides.machine?.loopbackBytes()
  const after = await sides.sender.ask('sent', {})
  await run('diff', ['-rq', path, target])
  await rm(target, { recursive: true })
  await sides.receiver.ask('release', { root })
  return {
    size,
    addMs,
    ms,
    contentBytes: after.bytes - before.bytes,
    wireBytes: wireAfter === undefined ? undefined : wireAfter - wireBefore!,
  }
}

async function throughRsync(
  { target: user, ssh: options }: SecureShell,
  base: string,
  next: string,
) {
  const target = at('rsynced')
  await run('cp', ['-a', base, target])
  await run('sync')
  const shell = ['ssh', ...options].join(' ')
  const tree = base === at('tree') ? '/' : ''
  const [program, ...before] = [...inside, 'rsync', '-a', '--stats', '-e', shell]
  const began = performance.now()
  const args = [...before, `${next}${tree}`, `${user}:${target}${tree}`]
  const { stdout } = await run(program!, args)
  const ms = performance.now() - began
  await run('diff', ['-rq', next, target])
  await rm(target, { recursive: true })
  const told = [...stdout.matchAll(/^Total bytes (?:sent|received): ([\d,.]+)/gm)]
  return { ms, bytes: told.reduce((sum, [, n]) => sum + Number(n!.replaceAll(/\D/g, '')), 0) }
}

/** Independent of the old content, at places that nothing is aligned to. */
async function changeInPlace(base: string, path: string, ranges: number): Promise<void> {
  await run('cp', [base, path])
  await using file = await open(path, 'r+')
  const length = Math.floor((bytes * CHANGED_SHARE) / ranges)
  const room = Math.floor(bytes / ranges)
  for (let range = 0; range < ranges; range += 1) {
    await file.write(randomBytes(length), 0, length, range * room + randomInt(room - length))
  }
}

async function insertAtHead(base: string, path: string): Promise<void> {
  const target = createWriteStream(path)
  target.write(randomBytes(INSERTED_BYTES))
  await pipeline(createReadStream(base), target)
}

async function changeFile(base: string, path: string): Promise<void> {
  await cp(base, path, { recursive: true, preserveTimestamps: true })
  const changed = join(path, '7.bin')
  await rm(changed)
  await writeRandomFile(changed, bytes / TREE_FILES)
}

async function hasRsync(shell: SecureShell | undefined): Promise<boolean> {
  if (shell === undefined) return false
  try {
    await run('rsync', ['--version'])
    return true
  } catch {
    process.stderr.write('There is no rsync to compare with (Debian: apt-get install rsync).\n')
    return false
  }
}
