import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { addressOf, Networks } from './networks.ts'

const run = promisify(execFile)

/** Runs a program against a host; it fails when the process does not end by itself. */
async function runChild(address: string, program: string): Promise<string> {
  const { stdout } = await run(
    process.execPath,
    ['--conditions=@manyhands/source', '--input-type=module', '-e', program, address],
    { timeout: 20_000, cwd: import.meta.dirname },
  )
  return stdout
}

test('a process ends by itself after close', async () => {
  await using networks = new Networks()
  const host = await networks.host({ gossip: true })
  host.handle('attempt.acknowledge', async () => ({}))
  await host.handleStream('/test/1', async (stream) => {
    for await (const frame of stream) await stream.send(frame)
  })
  const program = `
    import { createNetwork } from '@manyhands/core'
    const address = process.argv[1]
    const listen = ['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/tcp/0/ws']
    const network = await createNetwork({ listen, bootstrap: [address, '/ip4/127.0.0.1/tcp/1'] })
    const [peer] = network.peers()
    await network.call(peer, 'attempt.acknowledge', { ids: [] })
    const stream = await network.openStream(peer, '/test/1')
    await stream.send(Buffer.from('x'))
    await stream.next()
    network.call(peer, 'attempt.inventory', {}).catch(() => {})
    await network.close()
    console.log('closed')
  `
  expect(await runChild(addressOf(host), program)).toBe('closed\n')
})

test('a process ends by itself when the bootstrap fails', async () => {
  const program = `
    import { createNetwork } from '@manyhands/core'
    const listen = ['/ip4/127.0.0.1/tcp/0']
    await createNetwork({ listen, bootstrap: [process.argv[1]], mdns: true }).catch(({ code }) => {
      console.log(code)
    })
  `
  expect(await runChild('/ip4/127.0.0.1/tcp/1', program)).toBe('CONNECT_FAILED\n')
})

test('importing the package does not load libp2p', async () => {
  const program = `
    import { registerHooks } from 'node:module'
    const loaded = []
    registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
    const { createNetwork } = await import('@manyhands/core')
    const count = () => loaded.filter((url) => url.includes('/node_modules/libp2p/')).length
    const before = count()
    await (await createNetwork()).close()
    console.log(before, count() > 0)
  `
  expect(await runChild('', program)).toBe('0 true\n')
})
