import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, stat } from 'node:fs/promises'
import { createConnection, createServer } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { atExit } from './at-exit.ts'
import { type Callee, startCallee } from './calls.ts'

const QUEUES = new URL('../queues/', import.meta.url).pathname
const run = promisify(execFile)

type ProducerCalls = {
  many: { params: { tasks: number }; result: { ms: number } }
  single: { params: { tasks: number }; result: { times: number[] } }
}

/** BullMQ on a redis-server of its own, with workers in processes of their own. */
export interface QueuePeer extends AsyncDisposable {
  ask: Callee<ProducerCalls, string>['ask']
}

export interface QueuePeerOptions {
  dir: string
  workers: number
  /** Jobs that a worker has at once. */
  concurrency: number
  /** `everysec`: Redis writes a file, and waits for the disk once a second. */
  appendfsync?: 'everysec' | 'always'
}

export async function startQueuePeer(options: QueuePeerOptions): Promise<QueuePeer> {
  await using opening = new AsyncDisposableStack()
  const port = await freePort()
  await mkdir(options.dir, { recursive: true })
  const keep =
    options.appendfsync === undefined
      ? ['--appendonly', 'no']
      : ['--appendonly', 'yes', '--appendfsync', options.appendfsync]
  const redis = spawn(
    'redis-server',
    ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', options.dir, '--save', '', ...keep],
    { stdio: 'ignore' },
  )
  const gone = once(redis, 'exit')
  const exit = atExit(() => redis.kill('SIGKILL'))
  opening.defer(async () => {
    exit.cancel()
    redis.kill()
    await gone
  })
  await reachable(port)
  const argument = { port, concurrency: options.concurrency }
  for (let n = 0; n < options.workers; n += 1) {
    opening.use(await startCallee({ script: join(QUEUES, 'worker.js'), argument }))
  }
  const producer = opening.use(
    await startCallee<ProducerCalls, string>({ script: join(QUEUES, 'producer.js'), argument }),
  )
  const opened = opening.move()
  return { ask: producer.ask, [Symbol.asyncDispose]: () => opened.disposeAsync() }
}

/** Why there is nothing to compare with; undefined when there is. */
export async function queuePeerMissing(): Promise<string | undefined> {
  try {
    await run('redis-server', ['--version'])
  } catch {
    return 'redis-server is not installed'
  }
  const installed = join(QUEUES, 'node_modules/.package-lock.json')
  const lockedAt = (await stat(join(QUEUES, 'package-lock.json'))).mtimeMs
  if (existsSync(installed) && (await stat(installed)).mtimeMs >= lockedAt) return undefined
  process.stderr.write('installing what is compared with into bench/queues\n')
  try {
    await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: QUEUES })
    return undefined
  } catch (error) {
    return `npm ci in bench/queues failed (${error})`
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

async function reachable(port: number): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    const socket = createConnection(port, '127.0.0.1')
    try {
      await once(socket, 'connect')
      return
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 25))
    } finally {
      socket.destroy()
    }
  }
  throw new Error('redis-server does not listen')
}
