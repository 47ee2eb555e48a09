import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { createNetwork } from '../../src/network/create-network.ts'
import { eagerly } from '../../src/network/eager-connect.ts'

const LISTEN = ['/ip4/127.0.0.1/tcp/0']

async function pair() {
  const host = await createNetwork({ listen: LISTEN, gossip: false })
  const client = await createNetwork({ gossip: false, bootstrap: host.addresses })
  onTestFinished(async () => {
    await client.close()
    await host.close()
  })
  host.handle('attempt.acknowledge', async () => ({}))
  client.handle('attempt.acknowledge', async () => ({}))
  const ask = () => client.call(host.peerId, 'attempt.acknowledge', { ids: [] })
  const askBack = () => host.call(client.peerId, 'attempt.acknowledge', { ids: [] })
  return { host, client, ask, askBack }
}

it('a new connection takes the place of the one before, and both sides talk over it', async () => {
  const { host, client, ask, askBack } = await pair()
  await ask()
  const replaced = once(client, 'peer:reconnect')
  let left = 0
  client.addEventListener('peer:disconnect', () => {
    left += 1
  })
  await client.reconnect(host.peerId)
  const [event] = (await replaced) as [CustomEvent<string>]
  expect(event.detail).toBe(host.peerId)
  await ask()
  await askBack()
  await expect.poll(() => client.connections()).toHaveLength(1)
  await expect.poll(() => host.connections()).toHaveLength(1)
  expect(left).toBe(0)
})

it('a peer that was dropped is found again where it was', async () => {
  const { host, client, ask } = await pair()
  const gone = once(client, 'peer:disconnect')
  client.drop(host.peerId)
  await gone
  await client.reconnect(host.peerId)
  await ask()
})

it('connects again beside a try that is not answered, and takes the first that is', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  let tries = 0
  const ended: number[] = []
  const { port } = server.address() as { port: number }
  const socket = await eagerly((signal) => {
    tries += 1
    const number = tries
    return new Promise<Socket>((resolve, reject) => {
      signal.addEventListener('abort', () => {
        ended.push(number)
        reject(signal.reason)
      })
      // The first packets are lost.
      if (number < 3) return
      const made = connect(port, '127.0.0.1', () => resolve(made))
    })
  }, new AbortController().signal)
  socket.destroy()
  expect(tries).toBe(3)
  expect(ended).toEqual([1, 2])
})

it('takes a no for a no, and ends with its signal', async () => {
  const no = new Error('refused')
  await expect(eagerly(() => Promise.reject(no), new AbortController().signal)).rejects.toBe(no)
  const ending = new AbortController()
  const waiting = eagerly(
    (signal) =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason))
      }),
    ending.signal,
  )
  const reason = new Error('given up')
  ending.abort(reason)
  await expect(waiting).rejects.toBe(reason)
})
