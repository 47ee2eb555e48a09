import { createClient } from '@manyhands/client'
import { docker, dockerImages } from '@manyhands/docker-runtime'
import { createHost } from '@manyhands/host'
import Docker from 'dockerode'
import { OwnDocker, OwnPodman } from './packages/docker-runtime/test/own-engines.ts'
import { BUSYBOX_IMAGE, buildImage, ensureBusybox, ensureImage } from './scripts/docker-images.ts'
const open = async (kind: string) => {
  if (kind === 'docker20') { const e = await OwnDocker.start(); return { docker: e.docker, socketPath: e.socketPath, close: () => e[Symbol.asyncDispose]() } }
  if (kind === 'podman') { const e = await OwnPodman.start(); return { docker: e.docker, socketPath: e.socketPath, close: () => e[Symbol.asyncDispose]() } }
  const socketPath = kind === 'docker28c' ? '/tmp/sidroot/run/docker-true.sock' : '/tmp/sidroot/run/docker-false.sock'
  const d = new Docker({ socketPath }); await ensureBusybox(d)
  return { docker: d, socketPath, close: async () => {} }
}
const [ck, hk] = process.argv.slice(2) as [string, string]
const c = await open(ck), h = ck === hk && ck.startsWith('docker28') ? await open(ck) : await open(hk)
try {
  const tag = 'my/own:' + Date.now()
  const stamp = String(Date.now())
  if (ck === 'podman') { await ensureImage(c.docker, tag, [], [{ path: 'what', content: stamp + '\n' }]); await ensureImage(c.docker, tag + 'b', ['ENV A=b'], [{ path: 'what', content: stamp + 'b\n' }]) } else {
  await buildImage(c.docker, tag, [`FROM ${ck === 'podman' ? 'localhost/' : ''}${BUSYBOX_IMAGE}`, `RUN head -c 3000000 /dev/urandom > /big && echo ${stamp} > /what`])
  await buildImage(c.docker, tag + 'b', [`FROM ${ck === 'podman' ? 'localhost/' : ''}${tag}`, `RUN echo ${stamp}b > /what`])
  }
  await using host = await createHost({ runtimes: [docker({ socketPath: h.socketPath, reaper: false })], share: { cpus: 2, memory: '1GiB', disk: '2GiB' }, network: { listen: ['/ip4/127.0.0.1/tcp/0'], gossip: false } })
  await using client = await createClient({ images: [dockerImages({ socketPath: c.socketPath })], network: { bootstrap: host.addresses, gossip: false } })
  await client.waitForHosts()
  for (const image of [tag, tag + 'b', tag]) {
    const t = performance.now()
    const job = await client.submit({ image, command: ['/bin/sh', '-c', 'cat /what'], tasks: ['one'], resources: { cpus: 0.5, memory: '64MiB', disk: '16MiB', pids: 32 }, retry: { attempts: 0 }, timeout: '30s', hosts: { wait: '10s' } })
    const [r] = await Array.fromAsync(job.results())
    const s = await job.wait()
    console.log(ck, '→', hk, image.slice(-1), r?.ok, JSON.stringify(r?.stdoutTail), 'up', s.bytesUp, Math.round(performance.now() - t), 'ms', r?.error?.code ?? '', r?.error?.message ?? '', r?.stderrTail ?? '')
  }
  console.log('left in cache', await host.setPolicy({ policy: { imageCache: 1 } }), (await h.docker.listImages()).map(i => i.RepoTags))
} finally { await c.close(); await h.close() }
process.exit(0)
