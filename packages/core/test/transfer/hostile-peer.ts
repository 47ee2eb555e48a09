import {
  createNetwork,
  type FrameStream,
  type Manifest,
  type Network,
  PROTOCOLS,
} from '@manyhands/core'
import { onTestFinished } from 'vitest'
import { hashBytes } from '../../src/artifacts/hash-file.ts'
import { encodeManifest, readManifest, rootOf } from '../../src/artifacts/manifest.ts'
import { TRANSFER } from '../../src/artifacts/transfer-limits.ts'
import { atOnce } from '../../src/artifacts/turns.ts'
import { type Block, blocksOf } from '../../src/transfer/blocks.ts'
import { FRAME, readWant, wantFrame } from '../../src/transfer/transfer-frames.ts'
import {
  body,
  type Found,
  foundFrame,
  haveFrame,
  type OpenRequest,
  openFrame,
  readFailed,
  readFound,
  readOpen,
} from '../../src/transfer/transfer-messages.ts'

/** What a hostile peer does with those who ask it. */
export interface Misbehaviour {
  /** On a stream of news, after it was said that it is `found` in part. Default: it has everything. */
  news?(stream: FrameStream, blocks: Block[]): Promise<void>
  /** On a lane, after its first frame. Default: nothing comes. */
  lane?(stream: FrameStream): Promise<void>
  /** Where it says that it can be reached. */
  addresses?: string[]
}

export interface HostilePeer {
  network: Network
  /** Requests of others that it has got. */
  readonly asked: OpenRequest[]
  /** Makes itself known as one that fetches the artifact; stays for as long as the test. */
  join(owner: Network, root: string): Promise<void>
  /** Asks as others do. @throws what it is refused with */
  open(from: Network, request: Omit<OpenRequest, 'v'>): Promise<Found>
  /** Asks for something, a byte of content too; what comes of it. */
  asks(from: Network, request: Omit<OpenRequest, 'v'>): Promise<string>
}

/** A member of a swarm that speaks the protocol, and lies. */
export async function hostilePeer(behave: Misbehaviour): Promise<HostilePeer> {
  const network = await createNetwork({ listen: ['/ip4/127.0.0.1/tcp/0'], gossip: false })
  onTestFinished(() => network.close())
  const asked: OpenRequest[] = []
  let blocks: Block[] = []
  await network.handleStream(PROTOCOLS.artifacts, async (stream) => {
    const request = readOpen((await stream.next())!)
    asked.push(request)
    if (request.kind === 'lane') await behave.lane?.(stream)
    else {
      await stream.send(foundFrame({ bytes: 0, partial: true }))
      await (behave.news ?? tellAll)(stream, blocks)
    }
    await untilEnd(stream)
  })
  const begin = async (from: Network, request: Omit<OpenRequest, 'v'>) => {
    const peer = await network.connect(from.addresses[0]!)
    const stream = await network.openStream(peer, PROTOCOLS.artifacts)
    await stream.send(openFrame({ v: 2, ...request }))
    return stream
  }
  return {
    network,
    asked,
    open: async (from, request) => readFound((await (await begin(from, request)).next())!),
    asks: async (from, request) => {
      const stream = await begin(from, request)
      if (request.kind === 'lane') await stream.send(wantFrame([[0, 0, 1]]))
      const frame = (await stream.next())!
      stream.abort()
      return frame[0] === FRAME.failed ? readFailed(frame).code : 'given'
    },
    join: async (owner, root) => {
      const { addresses = network.addresses } = behave
      const stream = await begin(owner, { kind: 'artifact', root, addresses })
      const { bytes } = readFound((await stream.next())!)
      const pieces: Uint8Array[] = []
      for (let got = 0; got < bytes; got += pieces.at(-1)!.length) {
        pieces.push(body((await stream.next())!, FRAME.manifest))
      }
      blocks = atOnce(blocksOf(atOnce(readManifest(Buffer.concat(pieces)))))
      void untilEnd(stream)
    },
  }
}

/** The owner of an artifact of one file, who gives what it should, and does something besides. */
export async function hostileOrigin(
  content: Uint8Array,
  behave: {
    /** What it says of the artifact. */
    found?: Partial<Found>
    /** Sent as the manifest, and what the root is of. Default: that of the content. */
    manifest?: Uint8Array
    /** Pieces in which the manifest is sent. */
    pieceBytes?: number
    /** After the manifest. */
    news?(stream: FrameStream): Promise<void>
    /** On a lane; default: it gives what is wanted. */
    lane?(stream: FrameStream, give: () => Promise<void>): Promise<void>
  },
): Promise<{ network: Network; root: string }> {
  const network = await createNetwork({ listen: ['/ip4/127.0.0.1/tcp/0'], gossip: false })
  onTestFinished(() => network.close())
  const file = { path: '', executable: false, ...(await hashBytes(content)) }
  const single: Manifest = { v: 2, kind: 'file', files: [file], directories: [] }
  const bytes = behave.manifest ?? encodeManifest(single).bytes
  const root = rootOf(bytes)
  await network.handleStream(PROTOCOLS.artifacts, async (stream) => {
    const { kind } = readOpen((await stream.next())!)
    const give = () => giveContent(stream, content)
    if (kind === 'lane') await (behave.lane?.(stream, give) ?? give())
    else {
      const ticket = '0'.repeat(32)
      await stream.send(foundFrame({ bytes: bytes.length, ticket, ...behave.found }))
      const { pieceBytes = bytes.length } = behave
      for (let at = 0; at < bytes.length; at += pieceBytes) {
        await stream.send(framed(FRAME.manifest, bytes.subarray(at, at + pieceBytes)))
      }
      await behave.news?.(stream)
      // Of a small artifact the content comes over the same stream.
      if (behave.manifest !== undefined) await give()
    }
    await untilEnd(stream)
  })
  return { network, root }
}

async function giveContent(stream: FrameStream, content: Uint8Array): Promise<void> {
  for (let frame = await stream.next(); frame !== undefined; frame = await stream.next()) {
    for (const [, position, length] of readWant(frame)) {
      for (let at = position; at < position + length; at += TRANSFER.frameBytes) {
        const end = Math.min(position + length, at + TRANSFER.frameBytes)
        await stream.send(framed(FRAME.data, content.subarray(at, end)))
      }
    }
  }
}

export function framed(kind: number, bytes: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(kind), bytes])
}

/** Says that it has every block. */
export async function tellAll(stream: FrameStream, blocks: Block[]): Promise<void> {
  const bits = new Uint8Array(Math.ceil(blocks.length / 8)).fill(255)
  const last = blocks.length & 7
  if (last > 0) bits[bits.length - 1] = (1 << last) - 1
  await stream.send(haveFrame({ first: 0, bits }))
}

/** Reads what comes. Never throws. */
async function untilEnd(stream: FrameStream): Promise<void> {
  try {
    while ((await stream.next()) !== undefined);
  } catch {}
}
