import { chmod, mkdtemp, readdir, rm, stat, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Host } from '@manyhands/host'
import { describe, expect, it, onTestFinished } from 'vitest'
import { smallDisk, smallDiskObstacle } from '../../core/test/artifacts/small-disk.ts'
import { createLocalNetwork, type LocalNetworkOptions } from '../src/index.ts'

const MIB = 1024 ** 2

async function network(options: LocalNetworkOptions) {
  const local = await createLocalNetwork(options)
  onTestFinished(() => local.close())
  return local
}

const work = (fill: number, bytes: number) => ({
  runtime: 'scripted',
  image: 'any',
  command: ['run'],
  inputs: { '/in/scene': new Uint8Array(bytes).fill(fill) },
  tasks: ['frame'],
  retry: { attempts: 1 },
})

it('an input that was kept and went bad comes again, and its task does not hear of it', async () => {
  const state = await mkdtemp(join(tmpdir(), 'manyhands-healing-'))
  onTestFinished(() => rm(state, { recursive: true, force: true }))
  const local = await network({ hosts: [{ state }] })
  const [host] = local.hosts as [Host]
  await local.client.run(work(1, 2 * MIB))
  const cas = join(state, 'store/cas')
  const names = await readdir(cas, { recursive: true })
  const [file] = await Promise.all(
    names.map(async (name) => ({ path: join(cas, name), ...(await stat(join(cas, name))) })),
  ).then((found) => found.filter(({ size }) => size === 2 * MIB))
  await chmod(file!.path, 0o600)
  await truncate(file!.path, MIB)
  const job = await local.client.submit(work(1, 2 * MIB))
  const [result] = await Array.fromAsync(job.results())
  expect(result).toMatchObject({ ok: true, attempts: 1 })
  expect(host.totals().transfer.received).toBe(4 * MIB)
})

describe.skipIf(smallDiskObstacle() !== undefined)('on a small disk', () => {
  it('what is kept for later makes room for what is wanted now, before a task has to move', async () => {
    const disk = smallDisk(112 * MIB)
    const local = await network({ hosts: [{ state: join(disk.dir, 'host') }] })
    const [host] = local.hosts as [Host]
    for (const fill of [1, 2, 3, 4, 5]) {
      const job = await local.client.submit(work(fill, 40 * MIB))
      const [result] = await Array.fromAsync(job.results())
      expect(result, `input ${fill}`).toMatchObject({ ok: true, attempts: 1 })
      const events = await Array.fromAsync(job.events())
      expect(
        events.filter((event) => event.kind === 'attempt' && event.error !== undefined),
      ).toEqual([])
    }
    // What had come before the disk was full is not thrown away, but for what could not be written:
    // what was asked for by then, three times. Without it, each of three would come twice.
    expect(host.totals().transfer.received).toBeLessThan((5 * 40 + 3 * 20) * MIB)
  })
})
