import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JobEvent } from '@manyhands/client'
import type { HostTransfer } from '@manyhands/host'
import { expect, it, onTestFinished } from 'vitest'
import { createLocalNetwork } from '../src/index.ts'

const MIB = 1024 * 1024

it('hosts of one job have its inputs of each other, and say so', async () => {
  await using network = await createLocalNetwork({
    hosts: 3,
    client: { transfer: { upload: '24MiB/s' } },
  })
  const { client, hosts } = network
  const transfers = hosts.map((host) => {
    const sources = new Map<string, HostTransfer>()
    host.addEventListener('transfer', (event) => {
      const { detail } = event as CustomEvent<HostTransfer>
      sources.set(detail.peer, detail)
    })
    return sources
  })
  const scene = randomBytes(40 * MIB)
  const job = await client.submit({
    runtime: 'scripted',
    image: 'any',
    command: ['run'],
    inputs: { '/in/scene': scene },
    resources: { cpus: 4 },
    tasks: '1-3',
  })
  await job.wait()
  expect(job.counts.completed).toBe(3)
  const got = transfers.map((sources) =>
    [...sources.values()].reduce((sum, { bytes }) => sum + bytes, 0),
  )
  expect(got).toEqual([scene.length, scene.length, scene.length])
  for (const sources of transfers) {
    expect(sources.get(client.peerId)?.ratePerSecond).toBeGreaterThan(0)
  }
  expect(transfers.some((sources) => sources.size > 1)).toBe(true)
  // What the client gave, and what it would have given to each.
  expect(job.progress.bytesUp).toBeLessThan(2 * scene.length)
})

it('a job tells over what large outputs come', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'manyhands-events-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  // By reference: as bytes, the client would have what comes back already.
  await writeFile(join(dir, 'big'), randomBytes(2 * MIB))
  await using network = await createLocalNetwork()
  const job = await network.client.submit({
    runtime: 'scripted',
    image: 'any',
    command: ['run', '--copy', 'big=big'],
    inputs: { '/in/big': join(dir, 'big') },
    tasks: '1',
  })
  await job.wait()
  const told: JobEvent[] = []
  for await (const event of job.events({ since: 0 })) told.push(event)
  expect(told.find(({ kind }) => kind === 'transfer')).toMatchObject({
    task: '1',
    peer: network.hosts[0]!.peerId,
    path: 'stream',
    bytes: 2 * MIB,
  })
})
