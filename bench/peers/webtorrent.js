/** webtorrent as a peer of bench/peers.ts: TCP alone, no discovery, from file to file. */
import { stat } from 'node:fs/promises'
import WebTorrent from 'webtorrent'
import { answerCalls } from '../shared/answer-calls.ts'

const client = new WebTorrent({
  dht: false,
  tracker: false,
  lsd: false,
  utp: false,
  natUpnp: false,
})
client.on('error', (error) => {
  throw error
})
await new Promise((resolve) => client.once('listening', resolve))

answerCalls(
  {
    /** Hashes a file where it lies and offers it. */
    async seed({ path }) {
      const began = performance.now()
      const options = { announceList: [] }
      const torrent = await new Promise((resolve) => client.seed(path, options, resolve))
      const address = `127.0.0.1:${client.torrentPort}`
      return {
        address,
        content: torrent.torrentFile.toString('base64'),
        ms: performance.now() - began,
      }
    },

    /** From the connection to the last verified piece in its file, below `dir`. */
    async leech({ address, content, dir }) {
      const began = performance.now()
      const torrent = client.add(Buffer.from(content, 'base64'), { path: dir, announce: [] })
      torrent.addPeer(address)
      await new Promise((resolve) => torrent.once('done', resolve))
      const ms = performance.now() - began
      const path = `${dir}/${torrent.files[0].path}`
      const { size } = await stat(path)
      await new Promise((resolve) => client.remove(torrent, resolve))
      return { ms, path, size }
    },
  },
  'ready',
)
