/**
 * Renders an animation on two hosts and compares every frame with a direct `docker run`.
 *
 *   node main.ts [--frames 24] [--out out/blender] [--json]
 *
 * Exit code 0 when every frame came, both hosts worked and every pixel is equal.
 */
import { mkdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createClient } from '@manyhands/client'
import { SetupError } from '../debian-image/debian-image.ts'
import { BLENDER_IMAGE, ensureBlenderImage } from './build-image.ts'
import { renderDirectly, sceneCommand } from './direct-render.ts'
import { compareFrames, type FrameComparison } from './frames.ts'
import { startHost } from './host-process.ts'

/** The last line of `--json`. */
export interface BlenderReport extends FrameComparison {
  frames: number
  completed: number
  failed: { task: string; message: string }[]
  /** Frames by the host that rendered them. */
  hosts: Record<string, number>
  farmSeconds: number
  directSeconds: number
}

const { values: options } = parseArgs({
  options: {
    frames: { type: 'string', default: '24' },
    out: { type: 'string', default: 'out/blender' },
    json: { type: 'boolean', default: false },
  },
})
const frames = Number(options.frames)
const framesDir = resolve(options.out, 'frames')
const referenceDir = resolve(options.out, 'reference')
const scene = fileURLToPath(new URL('scene.py', import.meta.url))
const say = (line: string) => console.error(line)

async function renderOnHosts() {
  await rm(framesDir, { recursive: true, force: true })
  await mkdir(framesDir, { recursive: true })
  await using first = await startHost()
  await using second = await startHost()
  await using client = await createClient({
    network: { bootstrap: [...first.addresses, ...second.addresses] },
  })
  await client.waitForHosts({ min: 2, timeout: '20s' })
  say(`two hosts found: ${short(first.peerId)} and ${short(second.peerId)}`)

  const began = performance.now()
  const job = await client.submit({
    name: 'blender-animation',
    image: BLENDER_IMAGE,
    command: sceneCommand('{{item}}', frames),
    env: { HOME: '/tmp' },
    inputs: { '/in/scene.py': scene },
    outputs: ['/out/*.png'],
    tasks: `1-${frames}`,
    unit: 'frame',
    resources: { cpus: 1, memory: '1GiB', pids: 128 },
    timeout: '2m',
  })
  const hosts: Record<string, number> = { [first.peerId]: 0, [second.peerId]: 0 }
  const failed: BlenderReport['failed'] = []
  let completed = 0
  for await (const result of job.results()) {
    if (!result.ok || result.host === undefined) {
      failed.push({ task: result.key, message: result.error?.message ?? result.phase })
      say(`frame ${result.key} failed: ${result.error?.message}\n${result.stderrTail.slice(-400)}`)
      continue
    }
    await result.outputs.saveTo(framesDir)
    completed += 1
    hosts[result.host] = (hosts[result.host] ?? 0) + 1
    say(`frame ${result.key} from ${short(result.host)}, ${completed} of ${frames}`)
  }
  return { completed, failed, hosts, farmSeconds: secondsSince(began) }
}

async function main(): Promise<boolean> {
  await ensureBlenderImage(say)
  const rendered = await renderOnHosts()
  say('rendering the same frames with docker run …')
  const began = performance.now()
  await renderDirectly(scene, frames, referenceDir)
  const directSeconds = secondsSince(began)
  const comparison = await compareFrames(framesDir, referenceDir, frames)
  const report: BlenderReport = {
    frames,
    ...rendered,
    directSeconds,
    ...comparison,
  }
  summarize(report)
  if (options.json) console.log(JSON.stringify(report))
  return (
    report.completed === frames &&
    report.different.length === 0 &&
    Object.values(report.hosts).every((count) => count > 0)
  )
}

function summarize(report: BlenderReport): void {
  const shares = Object.entries(report.hosts).map(([host, count]) => `${short(host)}: ${count}`)
  say(`\n${report.completed} of ${report.frames} frames in ${report.farmSeconds.toFixed(1)} s`)
  say(`  by host          ${shares.join(', ')}`)
  say(`  one direct run   ${report.directSeconds.toFixed(1)} s (one container, one Blender)`)
  say(`  compared         ${report.compared} frames, largest difference ${report.maxDifference}`)
  if (report.different.length > 0) say(`  not equal        ${report.different.join(', ')}`)
  say(`  saved to         ${join(options.out, 'frames')}`)
}

const short = (peer: string) => `…${peer.slice(-6)}`
const secondsSince = (began: number) => (performance.now() - began) / 1000

if (!Number.isSafeInteger(frames) || frames < 1 || frames > 9999) {
  console.error('--frames wants a whole number from 1 to 9999')
  process.exitCode = 2
} else {
  try {
    process.exitCode = (await main()) ? 0 : 1
  } catch (error) {
    if (!(error instanceof SetupError)) throw error
    console.error(error.message)
    process.exitCode = 1
  }
}
