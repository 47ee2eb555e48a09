import { randomBytes } from 'node:crypto'
import { createClient, type JobEvent, type JobProgress } from '@manyhands/client'
import type { TransferProgress } from '@manyhands/core'
import { afterEach, describe, expect, it } from 'vitest'
import {
  createLocalNetwork,
  type LocalNetwork,
  type LocalNetworkOptions,
  scripted,
} from '../src/index.ts'
import { CappedLink } from './capped-link.ts'

const MIB = 1024 ** 2

let open: LocalNetwork | undefined

async function network(options: LocalNetworkOptions = {}): Promise<LocalNetwork> {
  open = await createLocalNetwork(options)
  return open
}

afterEach(async () => {
  await open?.close()
  open = undefined
})

const isProgress = (event: JobEvent) => event.kind === 'progress'
const growing = (values: number[]) => values.every((value, at) => value >= (values[at - 1] ?? 0))

describe('progress', () => {
  it('tells bytes, total and rate of inputs and outputs to everyone who waits for them', async () => {
    const result = randomBytes(32 * MIB)
    const script = () => ({ write: { big: result } })
    const { hosts } = await network({ runtimes: () => [scripted({ script })] })
    const [host] = hosts as [(typeof hosts)[number]]
    const [link, address] = await CappedLink.to(host.addresses[0]!, 16 * MIB)
    await using _ = link
    await using client = await createClient({ network: { bootstrap: [address], gossip: false } })
    const size = 64 * MIB
    const job = await client.submit({
      runtime: 'scripted',
      image: 'any',
      inputs: { '/in/big': randomBytes(size) },
      // Both wait for one transfer, and have equal outputs.
      tasks: '1-2',
    })
    const seen: JobProgress[] = []
    const atHost: TransferProgress[] = []
    for await (const event of job.events()) {
      for (const { transfer } of host.attempts()) if (transfer !== undefined) atHost.push(transfer)
      if (isProgress(event)) seen.push(event.progress)
    }
    expect(job.counts).toMatchObject({ completed: 2 })

    const staged = seen.filter(({ active }) => active.some(({ bytes }) => bytes !== undefined))
    const inputs = staged.filter(({ phases }) => phases.inputs === 2)
    const bytes = inputs.map(({ active }) => active[0]!.bytes!)
    // Growing, while it went on, for both, of a total that was known.
    expect(growing(bytes)).toBe(true)
    expect(new Set(bytes.filter((n) => n > 0 && n < size)).size).toBeGreaterThan(2)
    for (const { active } of inputs.filter(({ active }) => active[0]!.total !== undefined)) {
      for (const task of active) {
        expect(task).toMatchObject({ host: host.peerId, phase: 'inputs', total: size })
      }
    }
    const moving = inputs.findLast(({ active }) => active[0]!.bytes! < size)!
    expect(moving.active[0]!.rate).toBeGreaterThan(0)
    expect(moving.active[0]!.etaMs).toBeGreaterThan(0)
    expect(moving.rateUp).toBeGreaterThan(0)
    // What is told never outruns what was sent, and what was sent is what it took.
    for (const { active, bytesUp } of inputs) expect(active[0]!.bytes).toBeLessThanOrEqual(bytesUp)
    expect(job.progress.bytesUp).toBe(size)

    const ofPhase = (phase: string) =>
      atHost.filter((transfer) => transfer.phase === phase).map((transfer) => transfer.bytes)
    expect(growing(ofPhase('inputs'))).toBe(true)
    expect(ofPhase('inputs').at(-1)).toBeGreaterThan(0)
    expect(Math.max(...ofPhase('outputs'))).toBeGreaterThan(0)
    expect(host.totals().clients.find((one) => one.client === client.peerId)?.bytesIn).toBe(size)

    const fetched = staged.flatMap(({ active }) =>
      active.filter(({ phase }) => phase === 'outputs'),
    )
    expect(fetched.some((task) => task.bytes !== undefined && task.total === result.length)).toBe(
      true,
    )
    // Equal outputs are one transfer.
    expect(job.progress.bytesDown).toBe(result.length)
    expect(job.progress).toMatchObject({
      phases: { image: 0, inputs: 0, running: 0, outputs: 0 },
      active: [],
      eta: 0,
    })
  }, 60_000)

  it('says what tasks do, and when they will have ended, from those before', async () => {
    const { client } = await network({ hosts: 2 })
    const job = await client.submit({
      runtime: 'scripted',
      image: 'any',
      command: ['run', '--for', '600ms'],
      tasks: '1-32',
    })
    const seen: JobProgress[] = []
    for await (const event of job.events()) if (isProgress(event)) seen.push(event.progress)
    expect(seen.length).toBeGreaterThan(3)
    for (const progress of seen) {
      const { phases, running, active, eta, completed } = progress
      expect(Object.values(phases).reduce((sum, n) => sum + n)).toBe(running)
      expect(active).toHaveLength(running)
      if (completed === 0) expect(eta).toBeUndefined()
      else if (running > 0) expect(eta).toBeGreaterThanOrEqual(0)
    }
    const later = seen.flatMap(({ active, completed }) => (completed > 8 ? active : []))
    expect(later.some(({ phase, etaMs }) => phase === 'running' && etaMs! <= 700)).toBe(true)
  })
})
