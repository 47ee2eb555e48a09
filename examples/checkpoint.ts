/** A task that is sent away in the middle goes on at another host, from its last checkpoint. */
import assert from 'node:assert/strict'
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
const lend = {
  share: { cpus: 1, memory: '512MiB', disk: '1GiB' },
  network: { listen: ['/ip4/127.0.0.1/tcp/0'] },
}
await using first = await createHost({ ...lend, runtimes: [docker()] })
await using second = await createHost({ ...lend, runtimes: [docker()] })
await using client = await createClient({
  network: { bootstrap: [...first.addresses, ...second.addresses] },
})
await client.waitForHosts({ min: 2 })

// It knows nothing of hosts: it finds its file, or begins. Written beside and renamed, the file is always whole.
const count = `
  step=$(cat /out/step 2>/dev/null || echo 0)
  echo "began at $step"
  while [ $step -lt 8 ]; do
    sleep 1
    step=$((step + 1))
    echo $step > /out/step.part && mv /out/step.part /out/step
  done`
const job = await client.submit({
  image,
  command: ['/bin/sh', '-c', count],
  resources: { cpus: 0.5, memory: '32MiB', disk: '64MiB', pids: 16 },
  checkpoint: { paths: ['/out/step'], every: '1s' },
  tasks: ['count'],
})

let checkpoints = 0
for await (const event of job.events()) {
  if (event.kind === 'attempt' && event.startedFrom !== undefined) {
    console.log(`at ${event.host.slice(-8)} it goes on from ${event.startedFrom.bytes} bytes`)
  }
  if (event.kind !== 'checkpoint') continue
  checkpoints += 1
  if (checkpoints !== 3) continue
  console.log(
    `${event.host.slice(-8)} has given ${checkpoints} checkpoints, and needs its computer itself`,
  )
  await [first, second].find(({ peerId }) => peerId === event.host)!.kill(event.attempt)
}

const [result] = await Array.fromAsync(job.results())
console.log(`${result!.stdoutTail.trim()} on attempt ${result!.attempts}`)
assert(result!.ok, result!.error?.message)
const began = Number(/began at (\d+)/.exec(result!.stdoutTail)![1])
assert(began >= 2, 'it did not begin again')
assert.equal(new TextDecoder().decode(await result!.outputs.read('step')), '8\n')
assert.equal(result!.receipt!.checkpoint, result!.timeline!.startedFrom!.root)
