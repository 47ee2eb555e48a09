/** Outputs while the task still runs: a camera that never ends; each frame is here as soon as it is complete. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from '@manyhands/client'
import { docker } from '@manyhands/docker-runtime'
import { createHost } from '@manyhands/host'
import Docker from 'dockerode'
import { ensureBusybox } from '../scripts/docker-images.ts'

const engine = new Docker({ socketPath: '/var/run/docker.sock' })
if (!(await engine.ping().catch(() => false))) {
  console.log(
    'skipped: no Docker engine answers; `bash scripts/ensure-docker.sh` installs and starts one',
  )
  process.exit(process.env['CI'] === 'true' ? 1 : 0)
}
const image = await ensureBusybox(engine)
const album = await mkdtemp(join(tmpdir(), 'live-frames-'))

await using host = await createHost({
  runtimes: [docker()],
  share: { cpus: 1, memory: '512MiB', disk: '1GiB' },
  network: { listen: ['/ip4/127.0.0.1/tcp/0'] },
})
await using client = await createClient({ network: { bootstrap: host.addresses } })

// Written beside and renamed: that is how a program says that a file is complete.
const camera = `
  frame=0
  while :; do
    frame=$((frame + 1))
    echo "frame $frame of a long film" > /out/.part && mv /out/.part /out/$frame.txt
    echo "took $frame"
    sleep 1
  done`
const job = await client.submit({
  image,
  command: ['/bin/sh', '-c', camera],
  outputs: ['/out/*.txt'],
  resources: { cpus: 0.5, memory: '32MiB', disk: '64MiB', pids: 16 },
  tasks: ['camera'],
})

let frames = 0
for await (const event of job.events()) {
  if (event.kind !== 'output') continue
  const path = join(album, event.path)
  await event.file.saveTo(path)
  console.log(`${event.path}: ${event.bytes} bytes, ${event.file.state} while its task runs`)
  assert.match(await readFile(path, 'utf8'), /^frame \d+ of a long film\n$/)
  assert.equal(job.phase, 'running')
  frames += 1
  if (frames === 3) break
}
await job.cancel('that was enough')

let lines = 0
for await (const { text, gap } of job.logs({ task: 'camera' })) {
  if (gap === undefined) lines += text.split('\n').length - 1
  else console.log(`… ${gap} bytes of output were too much for us …`)
}
console.log(`${frames} frames in ${album}, ${lines} lines of output`)
assert.equal(frames, 3)
assert(lines >= frames)
await rm(album, { recursive: true })
