import { join } from 'node:path'
import type { TaskResult } from '@manyhands/core'
import type { AdmissionRequest, Host } from '@manyhands/host'
import { expect, it } from 'vitest'
import { createLocalNetwork, type LocalNetwork, scripted } from '../src/index.ts'
import { networkForTests } from './network-for-tests.ts'

const MIB = 1024 ** 2

const tested = networkForTests()
const { network } = tested

const bytes = (count: number, fill: number) => new Uint8Array(count).fill(fill)
const copy = (input: Uint8Array) => ({
  runtime: 'scripted',
  image: 'any',
  command: ['run', '--copy', '/in/data=data'],
  inputs: { '/in/data': input },
  tasks: '1',
})

async function results(of: LocalNetwork, spec: object): Promise<TaskResult[]> {
  const job = await of.client.submit({ ...spec, runtime: 'scripted' } as never)
  return await Array.fromAsync(job.results())
}

const request: AdmissionRequest = {
  client: 'someone',
  runtime: 'scripted',
  image: 'any',
  resources: { cpus: 1, memoryBytes: 1, diskBytes: 1, gpus: 0, pids: 1 },
  timeoutMs: 0,
  networkProfile: 'none',
}
const verdict = async (host: Host, rule: string, artifacts?: string[]) =>
  (await host.explain({ ...request, ...(artifacts === undefined ? {} : { artifacts }) })).find(
    (one) => one.rule === rule,
  )

it('a host slows down to what its owner gives, and faster again when that is changed', async () => {
  const local = await network({ hosts: [{ transfer: { download: '1MiB/s' } }] })
  const [host] = local.hosts as [Host]
  const begun = performance.now()
  const [slow] = await results(local, copy(bytes(2 * MIB, 1)))
  expect(slow).toMatchObject({ ok: true })
  // A lower bound alone: what a quarter of a second saves up, and one frame, went at once.
  expect(performance.now() - begun).toBeGreaterThan(1000)
  await host.setPolicy({ transfer: {} })
  expect(host.policy.transfer).toEqual({})
  const [fast] = await results(local, copy(bytes(2 * MIB, 2)))
  expect(fast).toMatchObject({ ok: true })
  // Bytes that the client gave itself do not travel back: it has them.
  const { transfer } = host.totals()
  expect(transfer).toMatchObject({ sent: 0, received: 4 * MIB })
  expect(transfer.peers).toEqual([{ peer: local.client.peerId, sent: 0, received: 4 * MIB }])
})

it('what a host sends counts as well', async () => {
  const text = 'x'.repeat(MIB)
  const local = await network({
    hosts: [{ runtimes: [scripted({ script: () => ({ write: { data: text } }) })] }],
  })
  const spec = { runtime: 'scripted', image: 'any', command: ['run'], tasks: '1' }
  expect(await results(local, spec)).toMatchObject([{ ok: true }])
  expect(local.hosts[0]!.totals().transfer).toMatchObject({ sent: MIB, received: 0 })
})

it('a client slows down to what it was told', async () => {
  const local = await network({ client: { transfer: { upload: '1MiB/s' } } })
  const begun = performance.now()
  const [result] = await results(local, copy(bytes(2 * MIB, 1)))
  expect(result).toMatchObject({ ok: true })
  expect(performance.now() - begun).toBeGreaterThan(1000)
})

it('a download quota that is used up lets in what is here, refuses the rest, and costs no task a retry', async () => {
  const local = await network({
    hosts: [{ transfer: { daily: { download: 3 * MIB } } }, { share: { cpus: 1 } }],
  })
  const [poor, other] = local.hosts as [Host, Host]
  const first = { only: [poor.peerId] }
  const known = bytes(2 * MIB, 1)
  expect(await results(local, { ...copy(known), hosts: first })).toMatchObject([{ ok: true }])

  // It has room by the count, and too little for this: the attempt fails as the host's fault.
  const job = await local.client.submit({
    ...copy(bytes(2 * MIB, 2)),
    retry: { attempts: 1 },
    hosts: { rank: ({ peerId }) => (peerId === poor.peerId ? 1 : 0) },
  })
  const [moved] = await Array.fromAsync(job.results())
  expect(moved).toMatchObject({ ok: true, host: other.peerId })
  const failed = (await Array.fromAsync(job.events())).find(
    (event) => event.kind === 'attempt' && event.phase === 'failed',
  )
  expect(failed).toMatchObject({
    host: poor.peerId,
    error: { code: 'TRANSFER_QUOTA', blame: 'host' },
  })

  // From now on it says so before anything travels.
  expect(poor.totals().transfer.received).toBeLessThanOrEqual(3 * MIB)
  const absent = [`sha256:${'0'.repeat(64)}`]
  expect(await verdict(poor, 'transfer.daily.download', absent)).toMatchObject({
    allowed: false,
    temporary: true,
    detail: expect.stringMatching(
      /^1 of its 1 inputs would have to come here, and .* free again in/,
    ),
  })
  expect(await verdict(poor, 'transfer.daily.download')).toMatchObject({ allowed: true })
  const [again] = await results(local, { ...copy(known), hosts: first })
  expect(again).toMatchObject({ ok: true, host: poor.peerId })
  const refused = await local.client.submit({
    ...copy(bytes(2 * MIB, 3)),
    hosts: { only: [poor.peerId] },
  })
  await expect
    .poll(async () => (await refused.why('1')).find(({ host }) => host === poor.peerId)?.reason)
    .toMatch(/refused lately/)
  await poor.setPolicy({ transfer: {} })
  expect(await refused.wait()).toMatchObject({ phase: 'completed' })
})

it('what was transferred counts on after a restart', async () => {
  const state = join(tested.dir, 'host')
  const daily = { download: 3 * MIB }
  const local = await network({ hosts: [{ state, transfer: { daily } }] })
  const [host] = local.hosts as [Host]
  await results(local, copy(bytes(2 * MIB, 1)))
  const before = host.totals().transfer
  await local.close()
  await using restarted = await createLocalNetwork({ hosts: [{ state, transfer: { daily } }] })
  expect(restarted.hosts[0]!.totals().transfer).toEqual(before)
  expect(before.lastDay.received).toBe(2 * MIB)
  await restarted.hosts[0]!.setPolicy({ transfer: { daily: { download: 2 * MIB } } })
  const absent = [`sha256:${'0'.repeat(64)}`]
  expect(await verdict(restarted.hosts[0]!, 'transfer.daily.download', absent)).toMatchObject({
    allowed: false,
  })
})

it('when the upload of a day is used up nothing is taken, for its results could not leave', async () => {
  const local = await network({ hosts: [{ transfer: { daily: { upload: 0 } } }] })
  const [host] = local.hosts as [Host]
  expect(await verdict(host, 'transfer.daily.upload')).toMatchObject({
    allowed: false,
    temporary: true,
    detail: expect.stringContaining('its results could not leave'),
  })
})
