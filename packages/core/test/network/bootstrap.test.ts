import { once } from 'node:events'
import { createServer } from 'node:net'
import { createIdentity, createNetwork } from '@manyhands/core'
import { expect, test } from 'vitest'
import { eventually } from './eventually.ts'
import { addressOf, Networks } from './networks.ts'

async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

test('when nobody answers, every address is named with its cause', async () => {
  await using networks = new Networks()
  const host = await networks.host()
  const stranger = createServer((socket) => socket.end('SSH-2.0-other\r\n')).listen(0, '127.0.0.1')
  await once(stranger, 'listening')
  const { port } = stranger.address() as { port: number }
  const refusing = `/ip4/127.0.0.1/tcp/${await closedPort()}`
  const foreign = `/ip4/127.0.0.1/tcp/${port}`
  const impostor = addressOf(host).replace(/p2p\/.*/, `p2p/${createIdentity().peerId}`)
  const bootstrap = [refusing, foreign, impostor]
  const error = await createNetwork({ bootstrap, gossip: false }).catch((reason) => reason)
  stranger.close()
  expect(error).toMatchObject({ code: 'CONNECT_FAILED' })
  expect(error.message).toContain(`${refusing} (connection refused)`)
  expect(error.message).toContain(`${foreign} (`)
  expect(error.message).toContain(`${impostor} (another peer answers there)`)
  expect(host.peers()).toEqual([])
})

test('one that answers is enough', async () => {
  await using networks = new Networks()
  const host = await networks.host()
  const refusing = `/ip4/127.0.0.1/tcp/${await closedPort()}`
  const client = await networks.add({ bootstrap: [refusing, addressOf(host)] })
  expect(client.peers()).toEqual([host.peerId])
})

test('a bootstrap peer that goes away is connected again when it is back', async () => {
  await using networks = new Networks()
  const { seed, peerId } = createIdentity()
  const listen = [`/ip4/127.0.0.1/tcp/${await closedPort()}`]
  const first = await networks.add({ listen, privateKey: seed })
  const client = await networks.add({ bootstrap: [addressOf(first)] })
  await first.close()
  await eventually('the client sees the end', () => !client.isConnected(peerId))
  await networks.add({ listen, privateKey: seed })
  await eventually('the client is back', () => client.isConnected(peerId))
})

test('one that was away at the start is connected later', async () => {
  await using networks = new Networks()
  const host = await networks.host()
  const listen = [`/ip4/127.0.0.1/tcp/${await closedPort()}`]
  const client = await networks.add({ bootstrap: [addressOf(host), ...listen] })
  const late = await networks.add({ listen })
  await eventually('the late one is found', () => client.isConnected(late.peerId))
})
