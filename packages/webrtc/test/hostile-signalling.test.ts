import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { identify } from '@libp2p/identify'
import type { Connection } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { cleanup } from 'node-datachannel'
import { RTCPeerConnection } from 'node-datachannel/polyfill'
import { expect, onTestFinished, test } from 'vitest'
import { circuitOf, hidden, relay } from './peers.ts'

const KIND = { offer: 0, answer: 1, candidate: 2 }
const ROUNDS = 120
const RELAYED = { runOnLimitedConnection: true }

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)]
}

/** One message of the signalling protocol. */
function message(kind: number, data: string): Uint8Array {
  const text = Buffer.from(data)
  const body = Buffer.concat([Buffer.from([8, kind, 18, ...varint(text.length)]), text])
  return Buffer.concat([Buffer.from(varint(body.length)), body])
}

async function realOffer(): Promise<string> {
  const connection = new RTCPeerConnection()
  connection.createDataChannel('init')
  const { sdp } = await connection.createOffer()
  connection.close()
  return sdp!
}

/** What may go wrong in a description: lines that are missing, twice, long, foreign, or of other bytes. */
function twisted(sdp: string, random: () => number): string {
  const lines = sdp.split('\r\n')
  const at = Math.floor(random() * lines.length)
  const line = lines[at] ?? ''
  const ways = [
    () => lines.splice(at, 1),
    () => lines.splice(at, 0, ...Array.from({ length: 50 }, () => line)),
    () => lines.splice(at, 1, `${line}${'x'.repeat(Math.floor(random() * 5000))}`),
    () => lines.splice(at, 1, line.slice(0, line.indexOf(':') + 1)),
    () => lines.splice(at, 1, line.replace(/[0-9]+/g, String(Math.floor(random() * 2 ** 40)))),
    () =>
      lines.splice(
        at,
        1,
        line.replace(/./g, (letter) => (random() < 0.2 ? '%\u0000'[0]! : letter)),
      ),
    () => lines.splice(at, 0, 'a=candidate:1 1 UDP 2122317823 10.0.0.1 99999 typ host'),
    () => lines.splice(at, 0, `a=ice-ufrag:${'u'.repeat(Math.floor(random() * 600))}`),
    () => lines.splice(at, 0, `a=ice-pwd:${'p'.repeat(Math.floor(random() * 600))}`),
    () =>
      lines.splice(at, 0, 'm=video 9 UDP/TLS/RTP/SAVPF 96 97', 'a=mid:1', 'a=rtpmap:96 H264/90000'),
  ]
  ways[Math.floor(random() * ways.length)]!()
  return lines.join('\r\n')
}

const CANDIDATES = [
  '{"candidate":"candidate:1 1 UDP 2122317823 127.0.0.1 1 typ host","sdpMid":"0"}',
  '{"candidate":"candidate:1 1 UDP 2122317823 999.0.0.1 70000 typ host","sdpMid":"0"}',
  `{"candidate":"candidate:${'9'.repeat(5000)} 1 UDP 1 a b typ host","sdpMid":"0"}`,
  '{"candidate":"candidate:1 1 UDP 1 evil.example.invalid 1 typ srflx raddr x rport y","sdpMid":"00"}',
  '{"candidate":17}',
  '[]',
  '"x"',
  'nonsense',
]

/** A peer that speaks libp2p and the relay protocol, and nothing of ours. */
async function attackerNode() {
  const node = await createLibp2p({
    transports: [tcp(), circuitRelayTransport()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify() },
  })
  onTestFinished(() => node.stop())
  onTestFinished(() => cleanup())
  return node
}

test('who leaves in the middle has no connection', async () => {
  const relays = (await relay()).addresses
  const victim = await hidden(relays)
  await expect.poll(() => circuitOf(victim), { timeout: 20_000 }).toBeDefined()
  const attacker = await attackerNode()
  const connection = await attacker.dial(multiaddr(circuitOf(victim)!))
  const stream = await connection.newStream('/webrtc-signaling/0.0.1', RELAYED)
  const answered = once(stream, 'message')
  const ended = once(stream, 'close')
  stream.send(message(KIND.offer, await realOffer()))
  await answered
  await stream.close()
  await ended
  // What is asked for after the end of the talk is answered after what follows it.
  for (let turn = 0; turn < 5; turn += 1) {
    await expect(connection.newStream('/ipfs/id/1.0.0', RELAYED)).resolves.toBeDefined()
  }
  expect(victim.connections().map(({ kind }) => kind)).toEqual(['direct', 'relayed'])
})

test('descriptions that make no sense do not end the process they are sent to', async () => {
  const relays = (await relay()).addresses
  const victim = spawn(
    process.execPath,
    [
      '--conditions=@manyhands/source',
      new URL('./victim-process.ts', import.meta.url).pathname,
      ...relays,
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  onTestFinished(() => void victim.kill('SIGKILL'))
  const exited = once(victim, 'exit')
  const [line] = await once(createInterface({ input: victim.stdout }), 'line')
  const { address, peerId } = JSON.parse(line) as { address: string; peerId: string }
  const attacker = await attackerNode()

  const offer = await realOffer()
  let seed = 7
  const random = (): number => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31
    return seed / 2 ** 31
  }
  let answers = 0
  let reached = 0
  async function attack(connection: Connection, round: number): Promise<void> {
    const stream = await connection.newStream('/webrtc-signaling/0.0.1', {
      runOnLimitedConnection: true,
      signal: AbortSignal.timeout(10_000),
    })
    reached += 1
    const answered = new Promise<void>((resolve) => {
      stream.addEventListener('message', () => {
        answers += 1
        resolve()
      })
      stream.addEventListener('close', () => resolve())
    })
    // The honest one first: what is twisted after it reaches as far.
    const sdp =
      round === 0 ? offer : twisted(round % 3 === 0 ? twisted(offer, random) : offer, random)
    stream.send(message(round % 17 === 16 ? KIND.answer : KIND.offer, sdp))
    for (let candidate = 0; candidate < CANDIDATES.length; candidate += 1) {
      if (stream.status !== 'open') break
      stream.send(message(KIND.candidate, CANDIDATES[(round + candidate) % CANDIDATES.length]!))
    }
    await Promise.race([answered, new Promise((resolve) => setTimeout(resolve, 300))])
    stream.abort(new Error('enough'))
  }

  let connection = await attacker.dial(multiaddr(address))
  for (let round = 0; reached < ROUNDS && round < 5 * ROUNDS; round += 1) {
    if (connection.status !== 'open') connection = await attacker.dial(multiaddr(address))
    // Refusals are as good as answers.
    await attack(connection, round).catch(() => new Promise((resolve) => setTimeout(resolve, 50)))
  }
  expect(reached).toBe(ROUNDS)
  expect(answers).toBeGreaterThan(0)
  expect([victim.exitCode, victim.signalCode]).toEqual([null, null])
  // Others are met as before.
  const honest = await hidden(relays)
  expect(await honest.connect(address)).toBe(peerId)
  await expect
    .poll(() => honest.connections().map(({ kind }) => kind), { timeout: 60_000 })
    .toContain('webrtc')
  victim.stdin.end()
  expect(await exited).toEqual([0, null])
})
