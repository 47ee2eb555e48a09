/**
 * An image that no registry has, from the client's engine to the host's, and again with another last
 * layer: only that layer may travel. Two engines that live as long as the run; client and host each in
 * a network namespace, so that the wire is counted at the interfaces, both directions with all headers.
 * Each submission is a new client process with the same state. Needs root, dockerd and no network.
 *
 *   node --conditions=@manyhands/source bench/image.ts [--layers 4] [--mib 100] [--last 8]
 */
import { execFile, spawn } from 'node:child_process'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { parseArgs, promisify } from 'node:util'
import { canStart, OwnDocker } from '../packages/docker-runtime/test/own-engines.ts'
import { BUSYBOX_IMAGE } from '../scripts/docker-images.ts'
import { atExit } from './shared/at-exit.ts'
import { startClientProcess } from './shared/client-processes.ts'
import { startHostProcess } from './shared/host-processes.ts'
import { openNetLab } from './shared/net-lab.ts'
import { writeRandomFile } from './shared/random-file.ts'
import { printResult } from './shared/result.ts'
import { makeScratch } from './shared/scratch.ts'

const IMAGE = 'manyhands-bench/image'
const LIMIT = 1.1
const { values } = parseArgs({
  options: {
    layers: { type: 'string', default: '4' },
    mib: { type: 'string', default: '100' },
    last: { type: 'string', default: '8' },
  },
})
const layers = Number(values.layers)
const layerBytes = Number(values.mib) * 1024 ** 2
const lastBytes = Number(values.last) * 1024 ** 2
/** For a run that is interrupted and waits for nothing any more: what disposing of an engine would do. */
const END_ENGINE = `
  pid=$(cat "$1/docker.pid")
  bridge=$(tr '\\0' '\\n' <"/proc/$pid/cmdline" | grep -A1 -x -e --bridge | tail -1)
  kill "$pid"
  while [ -d "/proc/$pid" ]; do sleep 0.1; done
  ip link del "$bridge"
  rm -rf "$1"`
const run = promisify(execFile)

interface Submission {
  /** From the submission until the task runs. */
  runningMs: number
  wireBytes: number
}

await using scratch = await makeScratch()
await using lab = await openNetLab()
if (lab !== undefined && canStart('dockerd')) await measure()

async function measure(): Promise<void> {
  const [near, far] = [await lab!.addMachine(), await lab!.addMachine()]
  await using stack = new AsyncDisposableStack()
  const startEngine = async () => {
    const engine = stack.use(await OwnDocker.start())
    const args = ['-c', END_ENGINE, '-', engine.root]
    // It has to outlive this process, whose child the engine is: only then is that quite gone.
    const end = atExit(() => spawn('sh', args, { stdio: 'ignore', detached: true }).unref())
    stack.defer(() => end.cancel())
    return engine
  }
  const clientEngine = await startEngine()
  const hostEngine = await startEngine()
  await hostEngine.docker.getImage(BUSYBOX_IMAGE).remove({ force: true })
  await using host = await startHostProcess({
    runtimes: ['docker'],
    cpus: 1,
    memory: '1GiB',
    disk: '16GiB',
    state: join(scratch.path, 'host'),
    listen: [`/ip4/${far.ip}/tcp/0`],
    engine: hostEngine.socketPath,
    inside: far.inside,
  })
  const wire = () => near.sentBytes() + far.sentBytes()

  const submit = async (image: string): Promise<Submission> => {
    await run('sync')
    const before = wire()
    await using client = await startClientProcess({
      bootstrap: host.ready.addresses,
      state: join(scratch.path, 'client'),
      engine: clientEngine.socketPath,
      inside: near.inside,
    })
    const spec = { image, command: ['/bin/true'], tasks: '1', resources: { cpus: 1 } }
    const { runningMs } = await client.ask('run', { spec })
    return { runningMs, wireBytes: wire() - before }
  }

  const context = join(scratch.path, 'context')
  await mkdir(context)
  const names = Array.from({ length: layers }, (_, index) => `layer-${index}`)
  for (const name of names) await writeRandomFile(join(context, name), layerBytes)
  const copies = [...names, 'last'].map((name) => `COPY ${name} /${name}`)
  await writeFile(join(context, 'Dockerfile'), [`FROM ${BUSYBOX_IMAGE}`, ...copies].join('\n'))
  const build = async (version: number) => {
    await rm(join(context, 'last'), { force: true })
    await writeRandomFile(join(context, 'last'), lastBytes)
    const tar = spawn('tar', ['-C', context, '-c', '.'], { stdio: ['ignore', 'pipe', 'inherit'] })
    const t = `${IMAGE}:${version}`
    const progress = await clientEngine.docker.buildImage(tar.stdout as never, { t })
    progress.resume()
    await finished(progress)
    return t
  }

  const first = await submit(await build(1))
  const changed = await submit(await build(2))
  const again = await submit(`${IMAGE}:2`)
  const share = changed.wireBytes / lastBytes
  printResult({
    name: 'an image with another last layer',
    promise: `only that layer travels: ≤ ${LIMIT} × its size on the wire`,
    value: changed.wireBytes,
    unit: 'bytes',
    against: 'the layer',
    peer: lastBytes,
    ratio: share,
    kept: share <= LIMIT,
    runningMs: { first: first.runningMs, changed: changed.runningMs, again: again.runningMs },
    wireBytes: { first: first.wireBytes, again: again.wireBytes },
    imageBytes: layers * layerBytes + lastBytes,
  })
}
