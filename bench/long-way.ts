/**
 * A large artifact over a way that is long and wide: two network namespaces with a delay between them, and a
 * plain TCP stream over the same way to compare with. What is in flight has to be as much as the way holds,
 * or every wait for a word costs a round trip. Needs root, iproute2 and python3.
 *
 *   npm run bench -- long-way [--mib 64] [--delay 50] [--rounds 3]
 */
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { Peer } from '../packages/testing/test/namespaces/peer.ts'
import {
  createSlowBed,
  noSlowWay,
  type SlowBed,
} from '../packages/testing/test/namespaces/slow-way.ts'
import { median, printResult } from './shared/result.ts'

const SHARE = 0.5
const { values } = parseArgs({
  options: {
    mib: { type: 'string', default: '64' },
    /** In each direction, ms. */
    delay: { type: 'string', default: '50' },
    rounds: { type: 'string', default: '3' },
  },
})
const mebibytes = Number(values.mib)
const delayMs = Number(values.delay)

const SEND = `
const bytes = Number(process.argv[1]) * 1024 * 1024
const server = require('node:net').createServer((socket) => {
  server.close()
  const piece = Buffer.alloc(256 * 1024)
  let left = bytes
  const send = () => {
    while (left > 0) {
      left -= piece.length
      if (!socket.write(piece)) return socket.once('drain', send)
    }
    socket.end()
  }
  send()
}).listen(7100, () => console.log('listening'))`

const RECEIVE = `
const startedAt = performance.now()
const socket = require('node:net').connect(7100, process.argv[1])
socket.on('data', () => {}).on('end', () => console.log(performance.now() - startedAt))`

const missing = noSlowWay()
if (missing !== undefined) process.stderr.write(`Not measured: ${missing}\n`)
else {
  await using bed = await createSlowBed('client', ['host'])
  await bed.way('host').set({ delayMs })
  await measure(bed)
}

async function measure(bed: SlowBed): Promise<void> {
  const { namespace, address } = bed.place('host')
  await using host = await Peer.start(
    { name: 'host', namespace, address, publicAddress: address },
    { listen: [`/ip4/${address}/tcp/4001`] },
  )
  const { namespace: middle, address: near } = bed.place('client')
  await using client = await Peer.start({
    name: 'client',
    namespace: middle,
    address: near,
    publicAddress: near,
  })
  await client.ask('connect', { address: `/ip4/${address}/tcp/4001/p2p/${host.peerId}` })
  const rates: number[] = []
  const plain: number[] = []
  for (let round = 0; round < Number(values.rounds); round += 1) {
    const { root } = await host.ask('make', { mebibytes })
    const { ms } = await client.ask('fetch', { root, peer: host.peerId })
    rates.push((mebibytes * 1000) / ms)
    plain.push((mebibytes * 1000) / (await plainMs(bed)))
  }
  const value = median(rates)
  const peer = median(plain)
  printResult({
    name: 'long-way',
    promise: `${mebibytes} MiB at ${2 * delayMs} ms there and back ≥ ${SHARE} × a plain TCP stream`,
    value,
    unit: 'MiB/s',
    rounds: rates,
    against: 'a plain TCP stream over the same way',
    peer,
    ratio: value / peer,
    kept: value / peer >= SHARE,
    plain,
  })
}

async function plainMs(bed: SlowBed): Promise<number> {
  const { namespace, address } = bed.place('host')
  const sender = namespace.spawn(process.execPath, ['-e', SEND, String(mebibytes)])
  await once(createInterface({ input: sender.stdout! }), 'line')
  return Number(await bed.place('client').namespace.run(process.execPath, '-e', RECEIVE, address))
}
