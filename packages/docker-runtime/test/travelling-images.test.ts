import { type Client, createClient, type Job } from '@manyhands/client'
import type { JobSpec, TaskResult } from '@manyhands/core'
import { docker, dockerImages } from '@manyhands/docker-runtime'
import { createHost, type Host } from '@manyhands/host'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BUSYBOX_IMAGE, buildImage } from '../../../scripts/docker-images.ts'
import { canStart, OwnDocker } from './own-engines.ts'

describe.skipIf(!canStart('dockerd', 'ip'))('images that only the client has', () => {
  let clientEngine: OwnDocker
  let hostEngine: OwnDocker
  let host: Host
  let client: Client

  beforeAll(async () => {
    clientEngine = await OwnDocker.start()
    hostEngine = await OwnDocker.start()
    await hostEngine.docker.getImage(BUSYBOX_IMAGE).remove({ force: true })
    host = await createHost({
      runtimes: [docker({ socketPath: hostEngine.socketPath })],
      share: { cpus: 2, memory: '1GiB', disk: '2GiB' },
      network: { listen: ['/ip4/127.0.0.1/tcp/0'], gossip: false },
    })
    client = await createClient({
      images: [dockerImages({ socketPath: clientEngine.socketPath })],
      network: { bootstrap: host.addresses, gossip: false },
    })
    await client.waitForHosts()
  }, 60_000)

  afterAll(async () => {
    await client?.close()
    await host?.close()
    await hostEngine?.[Symbol.asyncDispose]()
    await clientEngine?.[Symbol.asyncDispose]()
  })

  async function run(image: string, over: Partial<JobSpec<string>> = {}) {
    const job: Job<string> = await client.submit<string>({
      image,
      command: ['/bin/sh', '-c', 'cat /what'],
      tasks: ['one'],
      resources: { cpus: 0.5, memory: '64MiB', disk: '16MiB', pids: 32 },
      retry: { attempts: 0 },
      timeout: '30s',
      ...over,
    })
    const results: TaskResult[] = await Array.fromAsync(job.results())
    return { results, summary: await job.wait() }
  }

  it('run there', async () => {
    const image = await buildImage(clientEngine.docker, 'manyhands-test/own:1', [
      `FROM ${BUSYBOX_IMAGE}`,
      'RUN echo first > /what',
    ])
    const { results } = await run(image)
    expect(results[0]?.error).toBeUndefined()
    expect(results[0]?.stdoutTail).toBe('first\n')
  })
})
