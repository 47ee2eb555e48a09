/**
 * Artifact transfer between two processes on loopback, disk to disk and verified, beside scp in the
 * same run: one large file, and a tree of many small ones. Two results, sender before receiver in what
 * is told of both; MB are 10^6 bytes.
 *
 *   node --conditions=@manyhands/source bench/artifact-transfer.ts [--mib 1024] [--rounds 3]
 *
 * Ours counts connect, fetch, verification and fsync; scp counts its process, as that is how it is
 * used, and neither verifies nor syncs. `withSha256` adds sha256sum at both ends to scp.
 */
import { type ChildProcess, execFile, fork, spawn } from 'node:child_process'
import { createHash, randomFillSync } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream, existsSync } from 'node:fs'
import { mkdir, mkdtemp, open, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { createArtifactStore, createNetwork } from '@manyhands/core'
import { median, printResult } from './shared/result.ts'

const NO_SCP =
  'There is no sshd or scp here, so there is nothing to compare with and the ratios are null.\n' +
  'Get them with the package openssh-server (Debian: apt-get install openssh-server).\n'

const run = promisify(execFile)
const { values } = parseArgs({
  options: {
    mib: { type: 'string', default: '1024' },
    files: { type: 'string', default: '2000' },
    rounds: { type: 'string', default: '3' },
    role: { type: 'string' },
    dir: { type: 'string' },
  },
})

interface Request {
  id: number
  method: 'add' | 'fetch'
  path?: string
  address?: string
  root?: string
  store?: string
  target?: string
}
interface Spent {
  /** Peak of the resident memory over what it was. */
  growth: number
  cpuSeconds: number
}
interface Fetched {
  ms: number
  placeMs: number
}
type Answer = { id: number; result?: unknown; error?: string }

if (values.role === undefined) await compare()
else await serveRole(values.dir!)

/** A child: adds or fetches when it is asked to, and watches its own memory meanwhile. */
async function serveRole(dir: string): Promise<void> {
  const network = await createNetwork({ listen: ['/ip4/127.0.0.1/tcp/0'], gossip: false })
  const store = await createArtifactStore({ dir })
  await store.serve(network, () => true)
  let before = process.memoryUsage.rss()
  let peak = before
  let cpu = process.cpuUsage()
  setInterval(() => {
    peak = Math.max(peak, process.memoryUsage.rss())
  }, 20)
  const answer = async (request: Request): Promise<unknown> => {
    if (request.method === 'add') {
      const started = performance.now()
      const { root } = await store.addPath(request.path!)
      return { root, address: network.addresses[0], ms: performance.now() - started }
    }
    await using own = await createArtifactStore({ dir: request.store! })
    const started = performance.now()
    const peer = await network.connect(request.address!)
    await own.fetch(request.root!, { network, peer })
    const ms = performance.now() - started
    await network.disconnect(peer)
    const placing = performance.now()
    await own.place(request.root!, request.target!, 'link')
    return { ms, placeMs: performance.now() - placing } satisfies Fetched
  }
  process.on('message', (request: Request | 'spent' | 'reset') => {
    if (request === 'reset') {
      before = process.memoryUsage.rss()
      peak = before
      cpu = process.cpuUsage()
    } else if (request === 'spent') {
      const { user, system } = process.cpuUsage(cpu)
      const result: Spent = { growth: peak - before, cpuSeconds: (user + system) / 1e6 }
      process.send!({ id: -1, result })
    } else {
      answer(request).then(
        (result) => process.send!({ id: request.id, result }),
        (error) => process.send!({ id: request.id, error: String(error?.stack ?? error) }),
      )
    }
  })
  process.on('disconnect', () => process.exit(0))
  process.send!({ id: 0, result: 'ready' })
}

async function compare(): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'manyhands-bench-'))
  const children: ChildProcess[] = []
  let scp: Scp | undefined
  try {
    const sender = await startRole(join(dir, 'sender'), children)
    const receiver = await startRole(join(dir, 'receiver'), children)
    scp = await startScp(dir)
    if (scp === undefined) process.stderr.write(NO_SCP)
    const large = join(dir, 'large')
    await writeRandom(large, Number(values.mib) * 1024 * 1024)
    const small = join(dir, 'small')
    await mkdir(small)
    for (let index = 0; index < Number(values.files); index++) {
      await writeRandom(join(small, `${index}.bin`), 64 * 1024)
    }
    const sides = { dir, sender, receiver, scp }
    await measure({ ...sides, name: 'one large file from disk to disk', path: large })
    await measure({ ...sides, name: 'many small files from disk to disk', path: small })
  } finally {
    scp?.server.kill()
    for (const child of children) child.kill()
    await rm(dir, { recursive: true, force: true })
  }
}

interface Measured {
  name: string
  dir: string
  path: string
  sender: Role
  receiver: Role
  scp: Scp | undefined
}

async function measure({ name, dir, path, sender, receiver, scp }: Measured): Promise<void> {
  const tree = (await stat(path)).isDirectory()
  const bytes = tree ? Number(values.files) * 64 * 1024 : (await stat(path)).size
  const added = (await sender.ask({ method: 'add', path })) as {
    root: string
    address: string
    ms: number
  }
  const digest = await digestOf(path)
  const times = { ours: [] as number[], scp: [] as number[], hashes: [] as number[] }
  const spent = { sender: [] as Spent[], receiver: [] as Spent[] }
  for (let round = 0; round < Number(values.rounds); round++) {
    const store = join(dir, 'round')
    const target = join(dir, 'placed')
    await run('sync')
    await Promise.all([sender.reset(), receiver.reset()])
    const { root, address } = added
    const fetched = await receiver.ask({ method: 'fetch', address, root, store, target })
    times.ours.push((fetched as Fetched).ms)
    spent.sender.push(await sender.spent())
    spent.receiver.push(await receiver.spent())
    if ((await digestOf(target)) !== digest) throw new Error('the bytes differ')
    await rm(store, { recursive: true })
    await rm(target, { recursive: true })
    if (scp === undefined) continue
    await run('sync')
    const started = performance.now()
    await run('scp', [...scp.options, '-r', '-q', `${scp.user}@127.0.0.1:${path}`, target])
    times.scp.push(performance.now() - started)
    const hashing = performance.now()
    const list = (at: string) =>
      run('sh', ['-c', 'find "$1" -type f -exec sha256sum {} +', '-', at])
    await list(path)
    await list(target)
    times.hashes.push(performance.now() - hashing)
    await rm(target, { recursive: true })
  }
  const rate = (ms: number | undefined) => (ms === undefined ? null : bytes / ms / 1000)
  const ours = median(times.ours)
  const theirs = times.scp.length > 0 ? median(times.scp) : undefined
  const verified = theirs === undefined ? undefined : theirs + median(times.hashes)
  const ratio = (ms: number | undefined) => (ms === undefined ? null : ms / ours)
  const growth = (side: Spent[]) => Math.max(...side.map((each) => each.growth)) / 2 ** 20
  const cpu = (side: Spent[]) => median(side.map((each) => each.cpuSeconds))
  const rssGrowthMiB = { sender: growth(spent.sender), receiver: growth(spent.receiver) }
  const grown = Math.max(rssGrowthMiB.sender, rssGrowthMiB.receiver)
  printResult({
    name,
    promise: 'at least as fast as scp, and less than 128 MiB more memory on either side',
    value: rate(ours)!,
    unit: 'MB/s',
    rounds: times.ours.map((ms) => rate(ms)!),
    against: 'scp, which neither verifies nor syncs',
    peer: rate(theirs),
    ratio: ratio(theirs),
    kept: (ratio(theirs) ?? 0) >= 1 && grown < 128,
    peerRounds: times.scp.map((ms) => rate(ms)!),
    scpWithSha256: rate(verified),
    ratioWithSha256: ratio(verified),
    bytes,
    files: tree ? Number(values.files) : 1,
    rssGrowthMiB: [rssGrowthMiB.sender, rssGrowthMiB.receiver],
    cpuSeconds: [cpu(spent.sender), cpu(spent.receiver)],
    addMs: added.ms,
  })
}

interface Role {
  ask(request: Omit<Request, 'id'>): Promise<unknown>
  reset(): Promise<void>
  spent(): Promise<Spent>
}

async function startRole(dir: string, children: ChildProcess[]): Promise<Role> {
  const child = fork(import.meta.filename, ['--role', 'peer', '--dir', dir], {
    execPath: process.execPath,
    execArgv: [...process.execArgv, '--conditions=@manyhands/source'],
  })
  children.push(child)
  const waiting = new Map<number, (answer: Answer) => void>()
  child.on('message', (answer: Answer) => waiting.get(answer.id)?.(answer))
  child.on('exit', (code) => {
    for (const done of waiting.values()) done({ id: 0, error: `a peer ended with ${code}` })
  })
  const receive = (id: number, message?: object | string) =>
    new Promise<unknown>((resolve, reject) => {
      waiting.set(id, ({ result, error }) => {
        waiting.delete(id)
        if (error === undefined) resolve(result)
        else reject(new Error(error))
      })
      if (message !== undefined) child.send(message)
    })
  await receive(0)
  let id = 0
  return {
    ask: (request) => receive(++id, { ...request, id }),
    reset: async () => {
      child.send('reset')
    },
    spent: async () => (await receive(-1, 'spent')) as Spent,
  }
}

interface Scp {
  server: ChildProcess
  options: string[]
  user: string
}

/** An sshd of its own on a loopback port, with keys that live as long as the run. */
async function startScp(dir: string): Promise<Scp | undefined> {
  const sshd = ['/usr/sbin/sshd', '/usr/local/sbin/sshd', '/usr/bin/sshd'].find(existsSync)
  if (sshd === undefined) return undefined
  const keys = join(dir, 'ssh')
  await mkdir(keys, { mode: 0o700 })
  const key = (name: string) =>
    run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(keys, name)])
  try {
    await Promise.all([key('host'), key('user'), run('scp', ['-V']).catch(() => undefined)])
    await mkdir('/run/sshd', { recursive: true }).catch(() => undefined)
    const port = await freePort()
    const config = [
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      `HostKey ${join(keys, 'host')}`,
      `AuthorizedKeysFile ${join(keys, 'user.pub')}`,
      'StrictModes no',
      'UsePAM no',
      'PasswordAuthentication no',
      'PermitRootLogin prohibit-password',
      'PidFile none',
      'Subsystem sftp internal-sftp',
    ]
    await writeFile(join(keys, 'config'), config.join('\n'))
    const server = spawn(sshd, ['-D', '-f', join(keys, 'config')], { stdio: 'ignore' })
    const options = ['-P', `${port}`, '-i', join(keys, 'user'), '-o', 'BatchMode=yes']
    options.push(
      '-o',
      'StrictHostKeyChecking=no',
      '-o',
      `UserKnownHostsFile=${join(keys, 'known')}`,
    )
    options.push('-o', 'LogLevel=ERROR', '-F', '/dev/null')
    const { username: user } = userInfo()
    const probe = join(keys, 'probe')
    for (let attempt = 0; ; attempt++) {
      try {
        await run('scp', [...options, `${user}@127.0.0.1:${join(keys, 'config')}`, probe])
        return { server, options, user }
      } catch (error) {
        if (attempt === 20) {
          server.kill()
          throw error
        }
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    }
  } catch (error) {
    process.stderr.write(`scp could not be set up: ${error}\n`)
    return undefined
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

async function writeRandom(path: string, bytes: number): Promise<void> {
  const handle = await open(path, 'wx')
  const buffer = Buffer.allocUnsafe(Math.min(bytes, 4 * 1024 * 1024))
  for (let done = 0; done < bytes; ) {
    const piece = randomFillSync(buffer).subarray(0, bytes - done)
    done += (await handle.write(piece)).bytesWritten
  }
  await handle.close()
}

/** Of a file's bytes, or of a directory's files in the order of their numbers. */
async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  const files = (await stat(path)).isDirectory()
    ? Array.from({ length: Number(values.files) }, (_, index) => join(path, `${index}.bin`))
    : [path]
  for (const file of files) for await (const piece of createReadStream(file)) hash.update(piece)
  return hash.digest('hex')
}
