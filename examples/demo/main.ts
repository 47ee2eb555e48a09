/**
 * Renders a short animation on three hosts, each a process of its own:
 *
 *   npm run demo                  frames, an animation and a contact sheet in out/demo
 *   npm run demo -- --kill        the same, with one host killed half-way
 *
 * Options: --frames 48 --width 320 --height 180 --samples 40 --out out/demo
 * Exit code 0 when every frame came.
 */
import { mkdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { createClient } from '@manyhands/client'
import { writeAnimation } from './animation.ts'
import { buildTracer } from './build-tracer.ts'
import { writeContactSheet } from './contact-sheet.ts'
import { startHost } from './host-process.ts'
import { createProgressView, type HostShare } from './progress-view.ts'

const HOSTS = ['ada', 'grace', 'linus']
const FRAMES_PER_SECOND = 12
const REDRAW_MS = 250

const { values } = parseArgs({
  options: {
    frames: { type: 'string', default: '48' },
    width: { type: 'string', default: '320' },
    height: { type: 'string', default: '180' },
    samples: { type: 'string', default: '40' },
    out: { type: 'string', default: 'out/demo' },
    kill: { type: 'boolean', default: false },
  },
})

async function main(signal: AbortSignal): Promise<boolean> {
  const frames = Number(values.frames)
  if (!Number.isSafeInteger(frames) || frames < 1) throw new Error('--frames wants a whole number')
  const outDir = resolve(values.out)
  const framesDir = join(outDir, 'frames')
  await rm(framesDir, { recursive: true, force: true })
  await mkdir(framesDir, { recursive: true })
  const image = await buildTracer()
  const began = performance.now()

  await using hosts = new AsyncDisposableStack()
  const started = await Promise.allSettled(HOSTS.map((name) => startHost(name)))
  for (const host of started) if (host.status === 'fulfilled') hosts.use(host.value)
  for (const host of started) if (host.status === 'rejected') throw host.reason
  const running = started.flatMap((host) => (host.status === 'fulfilled' ? [host.value] : []))

  await using client = await createClient({
    network: { bootstrap: running.flatMap((host) => host.addresses) },
    // A host that is gone is noticed in seconds, not in half a minute.
    lease: { heartbeat: '500ms' },
  })
  await client.waitForHosts({ min: HOSTS.length, timeout: '20s', signal })
  const shares = new Map<string, HostShare>(
    running.map(({ peerId, name }) => [peerId, { name, frames: 0, killed: false }]),
  )
  const view = createProgressView(process.stdout)
  view.note(`${frames} frames of ${values.width}×${values.height} on ${HOSTS.join(', ')}`)

  const job = await client.submit(
    {
      name: 'demo',
      runtime: 'wasm',
      image,
      command: [
        ...['tracer', '--frame', '{{item}}', '--frames', String(frames)],
        ...['--width', values.width, '--height', values.height, '--samples', values.samples],
      ],
      outputs: ['/out/*.png'],
      tasks: `1-${frames}`,
      unit: 'frame',
      resources: { cpus: 1, memory: '128MiB', disk: '32MiB' },
      timeout: '1m',
    },
    { signal },
  )
  const rendering = performance.now()
  let done = 0
  const show = () => {
    const seconds = (performance.now() - rendering) / 1000
    const framesPerSecond = done / seconds
    const etaMs = done === 0 ? undefined : ((frames - done) / framesPerSecond) * 1000
    view.update({ done, total: frames, hosts: [...shares.values()], framesPerSecond, etaMs })
  }
  const redraw = setInterval(show, REDRAW_MS)
  const saved: string[] = []
  const failures: string[] = []
  let victim = values.kill ? running[1] : undefined
  try {
    for await (const result of job.results({ signal })) {
      if (result.ok) {
        saved.push(...(await result.outputs.saveTo(framesDir)))
        done += 1
        const share = result.host === undefined ? undefined : shares.get(result.host)
        if (share !== undefined) share.frames += 1
      } else {
        const message = result.error?.message ?? result.phase
        failures.push(`frame ${result.key}: ${message}\n${result.stderrTail.slice(-400)}`)
      }
      show()
      if (victim !== undefined && done >= frames / 2) {
        const killed = victim
        victim = undefined
        shares.get(killed.peerId)!.killed = true
        await killed.kill()
        view.note(`killed ${killed.name} (SIGKILL); the others take its frames over`)
      }
    }
  } finally {
    clearInterval(redraw)
    show()
    view.end()
  }
  for (const failure of failures) console.error(failure)
  if (done < frames) {
    console.error(`only ${done} of ${frames} frames came`)
    return false
  }

  const files = saved.sort()
  const animation = join(outDir, 'animation.png')
  const sheet = join(outDir, 'contact-sheet.png')
  await writeAnimation(files, animation, { framesPerSecond: FRAMES_PER_SECOND })
  await writeContactSheet(files, sheet, { columns: 8, shrink: 2, gap: 4 })
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  console.log(`\n${frames} frames in ${seconds} s, hosts and pictures included:`)
  console.log(`  animation      ${animation} (open it in a browser)`)
  console.log(`  contact sheet  ${sheet}`)
  console.log(`  frames         ${framesDir}`)
  return true
}

const interrupted = new AbortController()
process.once('SIGINT', () => interrupted.abort(new Error('interrupted')))
process.once('SIGTERM', () => interrupted.abort(new Error('terminated')))
try {
  process.exitCode = (await main(interrupted.signal)) ? 0 : 1
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
