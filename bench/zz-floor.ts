import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { percentile } from './shared/result.ts'
import { makeScratch } from './shared/scratch.ts'
import { startTransferPeer } from './shared/transfer-peers.ts'
await using scratch = await makeScratch()
await using a = await startTransferPeer({ dir: join(scratch.path, 'a') })
await using b = await startTransferPeer({ dir: join(scratch.path, 'b') })
await a.ask('calls', { peer: b.peerId, count: 1, everyMs: 1 }).catch(() => {})
import { writeRandomFile } from './shared/random-file.ts'
const source = join(scratch.path, 's'); await writeRandomFile(source, 1024 * 1024)
const { root } = await a.ask('add', { path: source })
await b.ask('fetch', { address: a.address, root, into: join(scratch.path, 'i') })
const calls = async () => { const r = await Promise.all([a.ask('calls', { peer: b.peerId, count: 2000, everyMs: 2 }), b.ask('calls', { peer: a.peerId, count: 2000, everyMs: 2 })]); return r.map((x) => [0.5, 0.9, 0.99].map((p) => percentile(x.ms, p).toFixed(2)).join('/') + ' late ' + percentile(x.lateMs, 0.99).toFixed(2)).join('   ') }
await calls()
for (const cmd of ['', 'nice -n 5 openssl speed -multi 2 -seconds 60 sha256', 'nice -n 19 openssl speed -multi 2 -seconds 60 sha256', 'chrt -i 0 openssl speed -multi 2 -seconds 60 sha256', 'nice -n 5 openssl speed -multi 4 -seconds 60 sha256']) {
  const child = cmd === '' ? undefined : spawn('sh', ['-c', `exec ${cmd}`], { stdio: 'ignore', detached: true })
  console.log(cmd || 'idle', await calls(), '|', await calls())
  if (child) process.kill(-child.pid!)
}
