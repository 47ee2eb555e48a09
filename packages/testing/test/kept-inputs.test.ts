import { join } from 'node:path'
import type { GcReport } from '@manyhands/core'
import type { Host } from '@manyhands/host'
import { expect, it } from 'vitest'
import { createLocalNetwork } from '../src/index.ts'
import { networkForTests } from './network-for-tests.ts'

const MIB = 1024 ** 2

const tested = networkForTests()
const { network } = tested

const scene = (fill: number, bytes = 2 * MIB) => new Uint8Array(bytes).fill(fill)
const work = (input: Uint8Array, ...more: string[]) => ({
  runtime: 'scripted',
  image: 'any',
  command: ['run', ...more],
  inputs: { '/in/scene': input },
  tasks: '1',
})
const keptBytes = ({ sections }: GcReport, reason: string | RegExp) =>
  sections[0]!.kept.find((stays) => stays.reason.match(reason))?.bytes ?? 0
const later = async (host: Host) =>
  keptBytes(await host.gc({ dryRun: true }), 'kept for later jobs')

it('an input that a host has is not sent again, not even after a restart', async () => {
  const state = join(tested.dir, 'host')
  const local = await network({ hosts: [{ state }] })
  await local.client.run(work(scene(1)))
  expect(local.hosts[0]!.totals().transfer.received).toBe(2 * MIB)
  await local.close()
  await using again = await createLocalNetwork({ hosts: [{ state }] })
  await again.client.run(work(scene(1)))
  expect(again.hosts[0]!.totals().transfer.received).toBe(2 * MIB)
})

it('what is kept is held between the marks, and an owner may lower them while the host runs', async () => {
  const local = await network({ hosts: [{ share: { cpus: 2, disk: '1GiB', keep: '5MiB' } }] })
  const [host] = local.hosts as [Host]
  for (const fill of [1, 2, 3]) await local.client.run(work(scene(fill)))
  await expect.poll(() => later(host)).toBe(4 * MIB)
  await host.setPolicy({ share: { cpus: 2, disk: '1GiB', keep: '3MiB' } })
  await expect.poll(() => later(host)).toBe(2 * MIB)
  // The one that was used last is the one that stays.
  const before = host.totals().transfer.received
  await local.client.run(work(scene(3)))
  expect(host.totals().transfer.received).toBe(before)
  // The attempt holds it until its result is acknowledged.
  await expect.poll(() => later(host)).toBe(2 * MIB)
  expect(await host.gc({ keepBytes: 0 })).toMatchObject({
    dryRun: false,
    sections: [{ room: 'artifacts', removed: { artifacts: 1, files: 1, bytes: 2 * MIB } }],
  })
  expect(await later(host)).toBe(0)
})

it('inputs of what runs are no part of it, and stay whatever the owner says', async () => {
  const local = await network({ hosts: [{ share: { cpus: 2, disk: '1GiB', keep: 0 } }] })
  const [host] = local.hosts as [Host]
  const job = await local.client.submit(work(scene(1), '--hang'))
  await expect.poll(() => host.attempts()[0]?.phase).toBe('running')
  const report = await host.gc({ keepBytes: 0 })
  expect(report.sections[0]).toMatchObject({
    removed: { artifacts: 0 },
    kept: [{ reason: 'inputs of attempts that are not over', bytes: 2 * MIB }],
  })
  expect(await local.client.gc({ keepBytes: 0 })).toMatchObject({
    sections: [{ removed: { artifacts: 0 }, kept: [{ reason: /inputs/ }] }],
  })
  await job.cancel()
  await expect.poll(async () => (await host.gc({ dryRun: true })).sections[0]!.kept).toEqual([])
})

it('a client holds results for their job, keeps bytes that it was given, and nothing of paths', async () => {
  const local = await network()
  const job = await local.client.submit(work(scene(1), '--write', 'frame=done'))
  const [result] = await Array.fromAsync(job.results())
  await expect
    .poll(async () => (await local.client.gc({ dryRun: true })).sections[0]!.kept)
    .toMatchObject([
      { reason: 'kept for later jobs', artifacts: 1, bytes: 2 * MIB },
      { reason: 'results of jobs', artifacts: 1, bytes: 4 },
    ])
  await local.client.gc({ keepBytes: 0 })
  expect(Buffer.from(await result!.outputs.read('frame')).toString()).toBe('done')
  expect((await local.client.gc({ keepBytes: 0 })).sections[0]!.removed.artifacts).toBe(0)
  // The next job has the same bytes, which have to come into the store again.
  await local.client.run(work(scene(1)))
})
