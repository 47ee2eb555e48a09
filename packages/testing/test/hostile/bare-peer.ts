import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import type { Libp2p, Stream } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createIdentity } from '@manyhands/core'
import { createLibp2p } from 'libp2p'

/** A peer that speaks libp2p and nothing of ours: what it sends is up to who holds it. */
export async function barePeer({
  seed = createIdentity().seed,
  listen = [],
}: {
  seed?: Uint8Array
  listen?: string[]
} = {}): Promise<Libp2p> {
  return createLibp2p({
    privateKey: await generateKeyPairFromSeed('Ed25519', seed),
    addresses: { listen },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ maxOutboundStreams: 100_000 })],
    connectionManager: { reconnectRetries: 0, maxParallelDials: 1000, maxDialQueueLength: 10_000 },
    services: { identify: identify() },
  }) as Promise<Libp2p>
}

/** A 4-byte big-endian word. */
export const word = (value: number): Uint8Array => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value >>> 0)
  return bytes
}

/** Frames of a stream as they come: the word before each, and its body. */
export async function* framesOf(
  stream: Stream,
  lengthOf: (word: number) => number = (length) => length,
): AsyncGenerator<{ word: number; body: Uint8Array }> {
  let bytes = Buffer.alloc(0)
  for await (const chunk of stream) {
    bytes = Buffer.concat([bytes, chunk.subarray()])
    while (bytes.length >= 4 && bytes.length >= 4 + lengthOf(bytes.readUInt32BE())) {
      const first = bytes.readUInt32BE()
      const end = 4 + lengthOf(first)
      yield { word: first, body: bytes.subarray(4, end) }
      bytes = bytes.subarray(end)
    }
  }
}
