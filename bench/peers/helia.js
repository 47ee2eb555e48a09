/**
 * helia as a peer of bench/peers.ts: bitswap over TCP, noise and yamux, no routing, blocks kept on disk
 * at both ends.
 */
import { createReadStream, createWriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { withBitswap } from '@helia/bitswap'
import { withLibp2pLight } from '@helia/libp2p'
import { unixfs } from '@helia/unixfs'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { FsBlockstore } from 'blockstore-fs'
import { createHeliaLight } from 'helia'
import { CID } from 'multiformats/cid'
import { answerCalls } from '../shared/answer-calls.ts'

async function startNode(blocks) {
  const blockstore = new FsBlockstore(blocks)
  await blockstore.open()
  const libp2p = {
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify() },
  }
  const node = withBitswap(withLibp2pLight(createHeliaLight({ blockstore }), libp2p))
  return await node.start()
}

let seeder

answerCalls(
  {
    /** Imports a file into blocks. */
    async seed({ path, dir }) {
      await seeder?.stop()
      seeder = await startNode(dir)
      const began = performance.now()
      const cid = await unixfs(seeder).addByteStream(createReadStream(path))
      const ms = performance.now() - began
      return { address: `${seeder.libp2p.getMultiaddrs()[0]}`, content: `${cid}`, ms }
    },

    /** From the connection to the last byte in a file below `dir`. */
    async leech({ address, content, dir }) {
      const node = await startNode(`${dir}/blocks`)
      const path = `${dir}/file`
      const began = performance.now()
      await node.libp2p.dial(multiaddr(address))
      const bytes = unixfs(node).cat(CID.parse(content))
      await pipeline(Readable.from(bytes), createWriteStream(path))
      const ms = performance.now() - began
      await node.stop()
      return { ms, path }
    },
  },
  'ready',
)
