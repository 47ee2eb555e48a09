import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { atExit } from './at-exit.ts'

const PRODUCER = new URL('../queues/dask_producer.py', import.meta.url).pathname
/** A distribution's packages belong to its own Python, which need not be the first one. */
const PYTHONS = ['python3', '/usr/bin/python3']
const run = promisify(execFile)

/** A Dask scheduler and workers, in processes of their own. */
export interface DaskPeer extends AsyncDisposable {
  /** Milliseconds until so many tasks have ended. */
  many(tasks: number): Promise<number>
  /** Milliseconds of one task after another. */
  single(tasks: number): Promise<number[]>
}

/** The Python that has Dask, and the version of that; else why there is nothing to compare with. */
export async function findDask(): Promise<{ python: string; version: string } | string> {
  for (const python of PYTHONS) {
    try {
      const code = 'import distributed; print(distributed.__version__)'
      return { python, version: (await run(python, ['-c', code])).stdout.trim() }
    } catch {
      // It is not there, or has no Dask.
    }
  }
  return 'Dask is not installed: apt-get install -y --no-install-recommends python3-distributed'
}

export async function startDaskPeer(options: {
  python: string
  dir: string
  workers: number
  /** Tasks that a worker has at once. */
  threads: number
}): Promise<DaskPeer> {
  const { python, dir, workers, threads } = options
  await using opening = new AsyncDisposableStack()
  await mkdir(dir, { recursive: true })
  const file = join(dir, 'scheduler.json')
  const start = (args: string[]): ChildProcess => {
    const child = spawn(python, args, { cwd: dir, stdio: ['pipe', 'pipe', 'ignore'] })
    const gone = once(child, 'exit')
    const exit = atExit(() => child.kill('SIGKILL'))
    opening.defer(async () => {
      exit.cancel()
      child.kill('SIGKILL')
      await gone
    })
    return child
  }
  const local = ['--host', '127.0.0.1', '--no-dashboard', '--scheduler-file', file]
  start(['-m', 'distributed.cli.dask_scheduler', '--port', '0', ...local]).stdout!.resume()
  for (let n = 0; n < workers; n += 1) {
    const alone = ['--nthreads', `${threads}`, '--no-nanny', '--local-directory', dir]
    start(['-m', 'distributed.cli.dask_worker', ...alone, ...local]).stdout!.resume()
  }
  const producer = start([PRODUCER, file, `${workers}`])
  const lines = createInterface({ input: producer.stdout! })[Symbol.asyncIterator]()
  const answer = async () => {
    const { value, done } = await lines.next()
    if (done) throw new Error('the Dask client has ended')
    return JSON.parse(value)
  }
  const ask = async (question: { ask: 'many' | 'single'; tasks: number }) => {
    producer.stdin!.write(`${JSON.stringify(question)}\n`)
    return await answer()
  }
  await answer()
  const opened = opening.move()
  return {
    many: async (tasks) => (await ask({ ask: 'many', tasks })).ms,
    single: async (tasks) => (await ask({ ask: 'single', tasks })).times,
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  }
}
