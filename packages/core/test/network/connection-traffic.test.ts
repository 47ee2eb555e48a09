import { expect, test } from 'vitest'
import { eventually } from './eventually.ts'
import { addressOf, Networks } from './networks.ts'

const BYTES = 1024 * 1024
const protocol = '/test/traffic/1'

test.each(['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/tcp/0/ws'])(
  'what goes over a connection of %s is counted at both ends',
  async (listen) => {
    await using networks = new Networks()
    const server = await networks.add({ listen: [listen] })
    let arrived = 0
    await server.handleStream(protocol, async (stream) => {
      for await (const frame of stream) arrived += frame.length
    })
    const client = await networks.add({ bootstrap: [addressOf(server)] })
    const stream = await client.openStream(server.peerId, protocol)
    await stream.send(new Uint8Array(BYTES))
    await stream.close()
    await eventually('it has come', () => arrived === BYTES)

    const [out] = client.connections()
    const [back] = server.connections()
    for (const bytes of [out!.bytesOut, back!.bytesIn]) {
      expect(bytes).toBeGreaterThan(BYTES)
      expect(bytes).toBeLessThan(1.2 * BYTES)
    }
    expect(out!.bytesIn).toBeGreaterThan(0)
    expect(out!.bytesIn).toBeLessThan(BYTES / 2)
    expect(out!.bytesOutPerSecond).toBeGreaterThan(0)
  },
)
