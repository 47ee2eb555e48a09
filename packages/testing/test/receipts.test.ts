import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from '@manyhands/client'
import {
  type AttemptEvent,
  inputsDigest,
  type Receipt,
  type ReceiptProof,
  type SignedReceipt,
  verifyReceipt,
} from '@manyhands/core'
import { describe, expect, it } from 'vitest'
import { createLocalNetwork, type LocalNetwork } from '../src/index.ts'
import { createForgingHost, type ForgingHost } from './forging-host.ts'

const scripted = (...command: string[]) => ({ runtime: 'scripted', image: 'any', command })

/** A client that knows this host alone. */
async function clientOf(...hosts: ForgingHost[]) {
  const bootstrap = hosts.flatMap(({ addresses }) => addresses)
  const client = await createClient({ network: { bootstrap, gossip: false } })
  await client.waitForHosts({ min: hosts.length })
  return client
}

describe('a result of an honest host', () => {
  it('has a receipt that says what was run, by whom and for whom', async () => {
    await using network = await createLocalNetwork({ hosts: 2 })
    const { client, hosts } = network
    const job = await client.submit({
      ...scripted('run', '--stdout', 'frame {{item}}', '--write', 'a.txt={{item}}'),
      inputs: { '/in/scene': { text: 'a scene' } },
      tasks: '1-6',
    })
    const nonces = new Set<string>()
    for await (const result of job.results()) {
      const receipt = verifyReceipt(JSON.parse(JSON.stringify(result.receipt)))
      expect(receipt).toMatchObject({
        client: client.peerId,
        host: result.host,
        job: job.id,
        task: result.key,
        phase: 'completed',
        exitCode: 0,
        limits: [],
        outputs: result.outputs.artifact,
      })
      expect(receipt.inputs).not.toBe(inputsDigest([]))
      nonces.add(receipt.nonce)
    }
    expect(nonces.size).toBe(6)
    expect(hosts.map(({ peerId }) => peerId)).toContain(
      (await Array.fromAsync(job.results()))[0]?.receipt?.host,
    )
  })

  it('has one also when it failed, with the limit that it hit', async () => {
    await using network = await createLocalNetwork()
    const job = await network.client.submit({
      ...scripted('run', '--for', '10s'),
      timeout: '50ms',
      retry: { attempts: 1 },
      tasks: '1',
    })
    const [result] = await Array.fromAsync(job.results())
    expect(result).toMatchObject({ ok: false, timedOut: true })
    expect(verifyReceipt(result?.receipt)).toMatchObject({
      phase: 'failed',
      limits: ['time'],
      error: 'TASK_TIMEOUT',
    })
  })
})

describe('a client that was started again', () => {
  it('knows what it had asked for: ends that come to it now count, and nothing is done twice', async () => {
    await using network = await createLocalNetwork({ hosts: 1 })
    const bootstrap = network.hosts[0]!.addresses
    const state = await mkdtemp(join(tmpdir(), 'manyhands-receipts-'))
    const start = () => createClient({ network: { bootstrap, gossip: false }, state })
    try {
      const first = await start()
      await first.waitForHosts()
      const { id } = await first.submit({ ...scripted('run', '--for', '400ms'), tasks: '1-3' })
      await running(network, 3)
      await first.close()
      await using second = await start()
      const job = await second.job(id)
      const results = await Array.fromAsync(job.results())
      for (const { receipt, attempts, ok } of results) {
        expect({ ok, attempts }).toEqual({ ok: true, attempts: 1 })
        expect(verifyReceipt(receipt)).toMatchObject({ client: second.peerId, epoch: 1 })
      }
      expect(results).toHaveLength(3)
    } finally {
      await rm(state, { recursive: true, force: true })
    }
  })
})

type Prove = (receipts: Receipt[]) => ReceiptProof[]
const NOBODYS = new Uint8Array(64)

type Sign = (receipt: Receipt) => SignedReceipt

/** What a hostile host may send in the place of its word. */
const FORGERIES: Record<string, (honest: Receipt, sign: Sign, made: SignedReceipt[]) => unknown> = {
  'no receipt': () => undefined,
  'a receipt that is none': () => ({ v: 1, trust: 'me' }),
  'an unsigned one': (honest) => ({ ...honest, signature: '0'.repeat(128) }),
  'one that was changed after it was signed': (honest, sign) => ({
    ...sign({ ...honest, durationMs: 99 }),
    durationMs: honest.durationMs,
  }),
  'one of another task': (honest, sign) => sign({ ...honest, task: 'another' }),
  'one of another epoch': (honest, sign) => sign({ ...honest, epoch: honest.epoch + 1 }),
  'one of another job': (honest, sign) => sign({ ...honest, job: 'another' }),
  'one for another client': (honest, sign) => sign({ ...honest, client: honest.host }),
  'one with an old nonce': (honest, sign) => sign({ ...honest, nonce: '0'.repeat(32) }),
  'one of another command': (honest, sign) => sign({ ...honest, spec: honest.inputs }),
  'one of other inputs': (honest, sign) => sign({ ...honest, inputs: honest.spec }),
  'one of other outputs': (honest, sign) => sign({ ...honest, outputs: honest.spec }),
  'one of another end': (honest, sign) => sign({ ...honest, exitCode: 1 }),
}

describe('an end of a hostile host', () => {
  it.each(Object.entries(FORGERIES))('does not count with %s', async (_, forge) => {
    await using host = await createForgingHost({ forge })
    await using client = await clientOf(host)
    const job = await client.submit({ ...scripted('run'), tasks: '1' })
    const seen = await untilAttempt(job, 'failed')
    expect(seen.error).toMatchObject({ code: 'RECEIPT_INVALID', blame: 'host' })
    expect(job.counts).toMatchObject({ completed: 0, failed: 0 })
    await job.cancel()
    // It is not asked again: it would say the same.
    expect(host.asked).toHaveLength(1)
  })

  it.each<[string, (honest: Receipt, sign: Prove) => ReceiptProof]>([
    ['of the task beside it', (honest, sign) => sign([honest, { ...honest, task: 'another' }])[1]!],
    ['of an older offer', (honest, sign) => sign([{ ...honest, nonce: '0'.repeat(32) }])[0]!],
    ['of other outputs', (honest, sign) => sign([{ ...honest, outputs: honest.spec }])[0]!],
    ['of another end', (honest, sign) => sign([{ ...honest, exitCode: 1 }])[0]!],
    ['that nobody signed', (honest, sign) => ({ ...sign([honest])[0]!, signature: NOBODYS })],
    ['of another batch', (honest, sign) => ({ ...sign([honest, honest])[1]!, at: 0, size: 3 })],
    ['that is none', () => ({ trust: 'me' }) as unknown as ReceiptProof],
  ])('does not count with a proof %s', async (_, prove) => {
    await using host = await createForgingHost({ forge: () => undefined, prove })
    await using client = await clientOf(host)
    const job = await client.submit({ ...scripted('run'), tasks: '1' })
    const seen = await untilAttempt(job, 'failed')
    expect(seen.error).toMatchObject({ code: 'RECEIPT_INVALID', blame: 'host' })
    await job.cancel()
    expect(job.counts.completed).toBe(0)
  })

  it('counts with the proof that is its own', async () => {
    const prove = (honest: Receipt, sign: Prove) =>
      sign([{ ...honest, task: 'another' }, honest])[1]!
    await using host = await createForgingHost({ forge: () => undefined, prove })
    await using client = await clientOf(host)
    const job = await client.submit({ ...scripted('run'), tasks: '1-3' })
    const results = await Array.fromAsync(job.results())
    expect(results.map(({ receipt }) => verifyReceipt(receipt).task).sort()).toEqual([
      '1',
      '2',
      '3',
    ])
  })

  it('does not count with the receipt of its neighbour in the same job', async () => {
    await using host = await createForgingHost({
      forge: (honest, sign, made) => made[0] ?? sign(honest),
    })
    await using client = await clientOf(host)
    const job = await client.submit({ ...scripted('run'), tasks: '1-2' })
    const seen = await untilAttempt(job, 'failed')
    expect(seen.error).toMatchObject({ code: 'RECEIPT_INVALID', details: { field: 'task' } })
    await job.cancel()
    expect(job.counts.completed).toBeLessThanOrEqual(1)
  })

  it('counts once, whatever else it signs for afterwards', async () => {
    let another: SignedReceipt | undefined
    await using host = await createForgingHost({
      forge: (honest, sign) => {
        another = sign({ ...honest, exitCode: 7, phase: 'failed' })
        return sign(honest)
      },
      tell: (event): AttemptEvent[] => {
        const end = { ...event.end!, exitCode: 7, receipt: another! }
        return [event, { ...event, seq: 2, phase: 'failed', end }]
      },
    })
    await using client = await clientOf(host)
    const summary = await client.run({ ...scripted('run'), tasks: '1-3' })
    expect(summary.counts).toMatchObject({ completed: 3, failed: 0 })
    const results = await Array.fromAsync((await client.job(summary.id)).results())
    expect(results.map(({ exitCode, receipt }) => [exitCode, receipt?.exitCode])).toEqual(
      results.map(() => [0, 0]),
    )
  })

  it('costs its task nothing: it is done by another host', async () => {
    await using network = await createLocalNetwork({ hosts: 1 })
    await using host = await createForgingHost({ forge: () => undefined })
    const bootstrap = [...host.addresses, ...network.hosts[0]!.addresses]
    await using client = await createClient({ network: { bootstrap, gossip: false } })
    await client.waitForHosts({ min: 2 })
    const summary = await client.run({
      ...scripted('run'),
      tasks: '1-8',
      retry: { attempts: 1 },
      hosts: { rank: (offer) => (offer.peerId === host.peerId ? 1 : 0) },
    })
    expect(host.asked.length).toBeGreaterThan(0)
    expect(summary.counts).toMatchObject({ completed: 8, failed: 0 })
  })
})

async function untilAttempt(
  job: Awaited<ReturnType<Awaited<ReturnType<typeof clientOf>>['submit']>>,
  phase: string,
) {
  for await (const event of job.events()) {
    if (event.kind === 'attempt' && event.phase === phase) return event
  }
  throw new Error(`the job is over without an attempt that is ${phase}`)
}

/** Resolves when the hosts run so many attempts. */
async function running({ hosts }: LocalNetwork, count: number): Promise<void> {
  const phases = () => hosts.flatMap((host) => host.attempts()).map(({ phase }) => phase)
  while (phases().filter((phase) => phase === 'running').length < count) {
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
