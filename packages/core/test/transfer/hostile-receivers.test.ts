import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type FrameStream,
  LIMITS,
  ManyhandsError,
  type Network,
  PROTOCOLS,
  type TransferGovernor,
} from '@manyhands/core'
import { multiaddr } from '@multiformats/multiaddr'
import { describe, expect, it, onTestFinished } from 'vitest'
import { TRANSFER } from '../../src/artifacts/transfer-limits.ts'
import { BULK } from '../../src/network/bulk-limits.ts'
import { createFrameStream } from '../../src/network/frame-stream.ts'
import { LaneThreads } from '../../src/transfer/lane-threads.ts'
import { SideSockets } from '../../src/transfer/side-sockets.ts'
import { FRAME, wantFrame } from '../../src/transfer/transfer-frames.ts'
import { openFrame, readFailed } from '../../src/transfer/transfer-messages.ts'
import { listFiles, MIB, scratch, seededBytes } from '../artifacts/scratch.ts'
import { Networks } from '../network/networks.ts'
import { connectTo, owner, sum, testPeer } from './peers.ts'
import { senderProcess } from './sender-process.ts'

/** What a peer is told at last, after whatever content there was. */
async function endOf(stream: FrameStream): Promise<string> {
  try {
    for await (const frame of stream) if (frame[0] === FRAME.failed) return readFailed(frame).code
    return 'end'
  } catch (error) {
    return error instanceof ManyhandsError ? error.code : String(error)
  }
}

/** Lanes of one peer that read nothing. */
const LANES = 150

/** Resident memory of a process, bytes. */
async function memoryOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)![1]) * 1024
}

async function openLane(network: Network, peer: string, root: string): Promise<FrameStream> {
  const lane = await network.openStream(peer, PROTOCOLS.artifacts)
  await lane.send(openFrame({ v: 2, kind: 'lane', root }))
  return lane
}

describe('a receiver', () => {
  it('that wants what there is not costs nobody anything of the quota', async () => {
    let taken = 0
    const governor: TransferGovernor = {
      take: (_direction, _peer, bytes) => {
        taken += bytes
        return undefined
      },
    }
    const from = await owner(2 * MIB, { governor })
    const hostile = await testPeer()
    const { network, peer } = await connectTo(hostile, from)
    for (const range of [
      [0, 2 * MIB - 1, 2],
      [0, 2 ** 52, 1],
      [0, 0, 0xffffffff],
      [1, 0, 1],
      [0xffffffff, 0, 1],
    ] as [number, number, number][]) {
      const lane = await openLane(network, peer, from.root)
      await lane.send(wantFrame([range]))
      expect(await endOf(lane), `${range}`).toBe('PROTOCOL')
    }
    // The first ranges of a want that is wrong further on may be given, and count.
    expect(taken).toBeLessThanOrEqual(2 * MIB)
    expect(sum(from.given)).toBe(taken)
  })

  it('that may not have an artifact makes nobody read it', async () => {
    const from = await owner(2 * MIB)
    const keeper = await testPeer({ allow: (peer) => peer === from.network.peerId })
    await keeper.store.fetch(from.root, await connectTo(keeper, from))
    const [stored] = await listFiles(join(keeper.dir, 'cas'))
    const path = join(keeper.dir, 'cas', stored!)
    await chmod(path, 0o600)
    await writeFile(path, (await readFile(path)).fill(0, MIB))
    const stranger = await testPeer()
    const asked = await connectTo(stranger, keeper)
    for (let round = 0; round < 10; round++) {
      const lane = await openLane(asked.network, asked.peer, from.root)
      expect(await endOf(lane)).toBe('ARTIFACT_MISSING')
    }
    // Whoever reads it all tells that it is damaged, and would have done so before all this is written.
    await keeper.store.addBytes(seededBytes(32 * MIB, 1))
    expect(keeper.warnings).toEqual([])
  })

  it('that wants all of it a thousand times over, and takes nothing, costs little memory', async () => {
    const path = join(await scratch(), 'content')
    const content = seededBytes(12 * MIB, 1)
    await writeFile(path, content)
    const from = await senderProcess(await scratch(), path)
    const receiver = await testPeer()
    const peer = await receiver.network.connect(from.address)
    await receiver.store.fetch(from.root, { network: receiver.network, peer })
    await receiver.store.gc({ keepBytes: 0 })
    const before = await memoryOf(from.pid)

    await using networks = new Networks()
    const connection = await (await networks.bare()).dial(multiaddr(from.address))
    const want = wantFrame(
      Array.from({ length: 12 }, (_, index): [number, number, number] => [0, index * MIB, MIB]),
    )
    let came = 0
    for (let lane = 0; lane < LANES; lane++) {
      const stream = await connection.newStream([PROTOCOLS.artifacts], {
        maxOutboundStreams: LANES,
      })
      stream.addEventListener('message', ({ data }) => {
        came += data.byteLength
      })
      const frames = createFrameStream(stream, { peer, inbound: false })
      await frames.send(openFrame({ v: 2, kind: 'lane', root: from.root }))
      for (let round = 0; round < 80; round++) await frames.send(want)
    }
    // As much as may come before something is taken.
    const enough = LANES * (LIMITS.streamCreditBytes - TRANSFER.lotBytes)
    await expect.poll(() => came, { timeout: 60_000 }).toBeGreaterThan(enough)
    await receiver.store.fetch(from.root, { network: receiver.network, peer })
    expect(Buffer.compare(await receiver.store.read(from.root, ''), content)).toBe(0)
    expect((await memoryOf(from.pid)) - before).toBeLessThan(enough / 2)
  })

  it('that opens a thousand streams gets some of them, and others are answered', async () => {
    await using networks = new Networks()
    const from = await owner(12 * MIB)
    const node = await networks.bare()
    const connection = await node.dial(multiaddr(from.network.addresses[0]!))
    let open = 0
    for (let lot = 0; lot < 10; lot++) {
      await Promise.all(
        Array.from({ length: 100 }, async () => {
          try {
            const stream = await connection.newStream([PROTOCOLS.artifacts], {
              maxOutboundStreams: 10_000,
            })
            const frames = createFrameStream(stream, {
              peer: from.network.peerId,
              inbound: false,
            })
            await frames.send(openFrame({ v: 2, kind: 'artifact', root: from.root }))
            if ((await frames.next()) !== undefined) open += 1
          } catch {}
        }),
      )
    }
    expect(open).toBeGreaterThan(0)
    expect(open).toBeLessThanOrEqual(LIMITS.streamsPerPeer)
    const receiver = await testPeer()
    await receiver.store.fetch(from.root, await connectTo(receiver, from))
  })

  it('that makes one socket after the other gets so many', async () => {
    const from = await owner(12 * MIB)
    const hostile = await testPeer()
    const { network, peer } = await connectTo(hostile, from)
    const threads = Array.from({ length: 2 }, () => new LaneThreads())
    onTestFinished(async () => {
      for (const each of threads) await each.close()
    })
    let open = 0
    // Its own threads would refuse as well.
    for (const each of threads) {
      const sockets = new SideSockets(each, undefined)
      for (let round = 0; round < BULK.lanesPerPeer; round++) {
        const port = await sockets.open(network, peer, AbortSignal.timeout(60_000))
        if (port !== undefined) open += 1
      }
    }
    expect(open).toBeGreaterThan(BULK.lanesPerPeer / 2)
    expect(open).toBeLessThanOrEqual(BULK.lanesPerPeer)
    const receiver = await testPeer()
    await receiver.store.fetch(from.root, await connectTo(receiver, from))
  })
})
