import type { Connection, Stream } from '@libp2p/interface'
import { createIdentity } from '@manyhands/core'
import { multiaddr } from '@multiformats/multiaddr'
import { expect, test } from 'vitest'
import { type Registrar, SignallingGuard, TALKS } from '../src/signalling-guard.ts'

/** A guard before a handler that counts, and streams to it. */
async function guarded() {
  const served: string[] = []
  let handler: ((stream: Stream, connection: Connection) => unknown) | undefined
  const registrar: Registrar = {
    handle: async (_, given) => {
      handler = given
    },
  }
  const parts = new SignallingGuard().before({ registrar, upgrader: {}, events: 'as they are' })
  expect(parts.events).toBe('as they are')
  await parts.registrar.handle('/webrtc-signaling/0.0.1', (_, { remotePeer }) => {
    served.push(remotePeer.toString())
  })
  const talk = (peer: string, named = peer) => {
    const stream = Object.assign(new EventTarget(), {
      aborted: undefined as Error | undefined,
      abort(error: Error) {
        stream.aborted = error
      },
    })
    const relay = createIdentity().peerId
    const connection = {
      remotePeer: { toString: () => peer },
      remoteAddr: multiaddr(`/ip4/127.0.0.1/tcp/1/p2p/${relay}/p2p-circuit/p2p/${named}`),
    }
    handler!(stream as unknown as Stream, connection as unknown as Connection)
    return stream
  }
  return { served, talk }
}

test('who has proven to be another one than the address says is not answered', async () => {
  const { served, talk } = await guarded()
  const [honest, other] = [createIdentity().peerId, createIdentity().peerId]
  expect(talk(honest, other).aborted).toMatchObject({ code: 'PROTOCOL' })
  expect(served).toEqual([])
  expect(talk(honest).aborted).toBeUndefined()
  expect(served).toEqual([honest])
})

test('talks are bounded, of one peer and of all', async () => {
  const { served, talk } = await guarded()
  const { peerId } = createIdentity()
  const open = Array.from({ length: TALKS.perPeer }, () => talk(peerId))
  expect(talk(peerId).aborted).toMatchObject({ code: 'LIMIT' })
  open[0]!.dispatchEvent(new Event('close'))
  expect(talk(peerId).aborted).toBeUndefined()
  for (let more = TALKS.perPeer; more < TALKS.all; more += 1) {
    expect(talk(createIdentity().peerId).aborted).toBeUndefined()
  }
  expect(talk(createIdentity().peerId).aborted).toMatchObject({ code: 'LIMIT' })
  expect(served).toHaveLength(TALKS.all + 1)
})
