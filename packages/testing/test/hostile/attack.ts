/**
 * A hostile peer in a process of its own: `attack.ts KIND ADDRESS [COUNT]`. Says `began` when it begins and goes on
 * until it is killed, from another connection when it was cut.
 */
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Connection } from '@libp2p/interface'
import { createIdentity, LIMITS, PROTOCOLS } from '@manyhands/core'
import { multiaddr } from '@multiformats/multiaddr'
import { barePeer, word } from './bare-peer.ts'

type Attack = (address: string, count: number) => Promise<void>

/** What is refused is tried again after so long, ms. */
const AGAIN_MS = 50

/** Connections that send one byte a second and never finish a handshake. */
const slowLoris: Attack = async (address, count) => {
  const [host, port] = multiaddr(address).getComponents()
  const one = (): void => {
    const socket = connect(Number(port!.value), host!.value)
    const timer = setInterval(() => socket.write('a'), 1000)
    socket.on('error', () => {})
    socket.on('close', () => {
      clearInterval(timer)
      setTimeout(one, 20 * AGAIN_MS)
    })
  }
  for (let index = 0; index < count; index += 1) one()
}

/** Requests that nobody can read, a stream each. */
const malformed: Attack = async (address, count) => {
  let left = count
  await connected(address, async (connection) => {
    while (connection.status === 'open' && left > 0) {
      await Promise.all(
        Array.from({ length: 16 }, async () => {
          left -= 1
          const stream = await connection.newStream(PROTOCOLS.rpc)
          stream.send(word(4))
          stream.send(Uint8Array.of(0xff, 0xff, 0xff, 0xff))
        }),
      )
    }
  })
}

/** Streams that are filled to their credit and never read. */
const unread: Attack = async (address, count) => {
  const frame = new Uint8Array(256 * 1024)
  const frames = Math.floor(LIMITS.streamCreditBytes / frame.length) - 1
  await connected(address, async (connection) => {
    for (let index = 0; index < count && connection.status === 'open'; index += 1) {
      const stream = await connection.newStream(PROTOCOLS.events, { maxOutboundStreams: count })
      stream.pause()
      for (let sent = 0; sent < frames && stream.status === 'open'; sent += 1) {
        stream.send(word(frame.length))
        stream.send(frame)
      }
    }
    while (connection.status === 'open') await delay(AGAIN_MS)
  })
}

/** As many peers as one likes, each as bad as it can be until it is refused. */
const identities: Attack = async (address, count) => {
  for (let made = 0; ; made = (made + 1) % count) {
    const peer = await barePeer({ seed: createIdentity().seed })
    try {
      const connection = await peer.dial(multiaddr(address))
      while (connection.status === 'open') {
        const stream = await connection.newStream(PROTOCOLS.rpc)
        stream.send(word(0xffffffff))
      }
    } catch {
      await delay(AGAIN_MS)
    } finally {
      await peer.stop()
    }
  }
}

/** One peer that comes again whenever it was cut. */
async function connected(
  address: string,
  misbehave: (connection: Connection) => Promise<void>,
): Promise<void> {
  const peer = await barePeer()
  for (;;) {
    try {
      await misbehave(await peer.dial(multiaddr(address)))
    } catch {
      // Cut or refused, as it should be.
    }
    await delay(AGAIN_MS)
  }
}

export const ATTACKS = {
  'slow-loris': [slowLoris, 500],
  malformed: [malformed, 50_000],
  unread: [unread, 1000],
  identities: [identities, 200],
} as const satisfies Record<string, [Attack, number]>

export type AttackKind = keyof typeof ATTACKS

if (import.meta.main) {
  const [kind, address] = process.argv.slice(2)
  const [attack, count] = ATTACKS[kind as AttackKind]
  process.on('unhandledRejection', () => {})
  process.stdout.write('began\n')
  await attack(address!, count)
}
