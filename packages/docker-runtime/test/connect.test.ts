import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type RequestListener, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { engineFinder } from '../src/connect/find-engine.ts'
import { namedByEnvironment } from '../src/connect/named-by-environment.ts'
import { namedByOption } from '../src/connect/named-by-option.ts'
import { podmanSocket } from '../src/connect/podman-socket.ts'
import { rootlessSocket } from '../src/connect/rootless-socket.ts'
import { docker } from '../src/index.ts'

let directory: string
let servers: Server[]
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'manyhands-connect-'))
  servers = []
})
afterEach(async () => {
  for (const server of servers) await new Promise((resolve) => server.close(resolve))
  await rm(directory, { recursive: true, force: true })
})

/** What answers a ping, on a socket where an engine's could be. */
async function engineAt(path: string, answer: RequestListener): Promise<string> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(path, resolve))
  servers.push(server)
  return path
}

describe('an engine that the owner names', () => {
  it.for([
    [{ socketPath: '/a.sock' }, { socketPath: '/a.sock' }],
    [{ host: 'unix:///a.sock' }, { socketPath: '/a.sock' }],
    [{ host: 'tcp://box' }, { host: 'box', port: 2375, tls: undefined }],
    [{ host: 'http://box:99' }, { host: 'box', port: 99, tls: undefined }],
    [{ host: 'tcp://[::1]:99' }, { host: '::1', port: 99, tls: undefined }],
    [{ host: 'https://box' }, { host: 'box', port: 2376, tls: {} }],
    [
      { host: 'tcp://box', tls: { ca: 'c' } },
      { host: 'box', port: 2376, tls: { ca: 'c' } },
    ],
    [{ host: 'npipe:////./pipe/docker_engine' }, { socketPath: '//./pipe/docker_engine' }],
  ] as const)('as %j is %j', ([address, target]) => {
    expect(namedByOption.targets(address)).toEqual([target])
  })

  it.for([
    ['ssh://me@box', /reached by ssh/],
    ['nonsense', /unix:\/\/\/path or tcp/],
    ['tcp://', /unix:\/\/\/path or tcp/],
    ['file:///x', /unix:\/\/\/path or tcp/],
  ] as const)('as %s is refused', ([host, why]) => {
    expect(() => docker({ host })).toThrow(why)
    expect(() => docker({ env: { DOCKER_HOST: host } })).toThrow(why)
  })

  it('in the environment may bring its keys', async () => {
    for (const name of ['ca', 'cert', 'key']) await writeFile(join(directory, `${name}.pem`), name)
    const env = {
      DOCKER_HOST: 'tcp://box:1',
      DOCKER_TLS_VERIFY: '1',
      DOCKER_CERT_PATH: directory,
    }
    const tls = { ca: 'ca', cert: 'cert', key: 'key' }
    expect(namedByEnvironment.targets({ env })).toEqual([{ host: 'box', port: 1, tls }])
    await rm(join(directory, 'key.pem'))
    expect(() => docker({ env })).toThrow(/key\.pem is not readable/)
    expect(namedByEnvironment.targets({ env: { ...env, DOCKER_TLS_VERIFY: '' } })).toEqual([
      { host: 'box', port: 1, tls: undefined },
    ])
  })

  it('is the only one tried', async () => {
    const socketPath = join(directory, 'none.sock')
    for (const address of [{ socketPath }, { env: { DOCKER_HOST: `unix://${socketPath}` } }]) {
      const found = await docker(address).fingerprint()
      expect(found.available).toBe(false)
      expect(found.detail).toMatch(/^no Docker engine answers at .*none\.sock: there is no socket/)
    }
    expect(namedByOption.targets({})).toEqual([])
    expect(namedByEnvironment.targets({ env: { CONTAINER_HOST: 'unix:///p' } })).toEqual([
      { socketPath: '/p' },
    ])
  })
})

describe('an engine that nobody names', () => {
  it('is looked for where this user’s engines are', () => {
    const env = { XDG_RUNTIME_DIR: '/run/user/1', HOME: '/home/me' }
    expect(rootlessSocket.targets({ env })).toEqual([
      { socketPath: '/run/user/1/docker.sock' },
      { socketPath: '/home/me/.docker/run/docker.sock' },
      { socketPath: '/home/me/.docker/desktop/docker.sock' },
    ])
    expect(podmanSocket.targets({ env })).toEqual([
      { socketPath: '/run/podman/podman.sock' },
      { socketPath: '/run/user/1/podman/podman.sock' },
    ])
    expect(rootlessSocket.targets({})).toEqual([])
  })

  const strategy = (...paths: string[]) => ({
    name: 'test',
    targets: () => paths.map((socketPath) => ({ socketPath })),
  })

  it('is the first that answers a ping, and stays it', async () => {
    const broken = await engineAt(join(directory, 'broken.sock'), (_, response) => {
      response.writeHead(500).end('{"message":"out of order"}')
    })
    const good = await engineAt(join(directory, 'good.sock'), (_, response) => response.end('OK'))
    const missing = join(directory, 'missing.sock')
    const finder = engineFinder({}, [strategy(missing), strategy(broken, good)])
    expect((await finder.find()).where).toBe(good)
    await engineAt(missing, (_, response) => response.end('OK'))
    expect((await finder.find()).where).toBe(good)
  })

  it('is reported with all that was tried, and found when it comes', async () => {
    const broken = await engineAt(join(directory, 'broken.sock'), (_, response) => {
      response.writeHead(500).end('{"message":"out of order"}')
    })
    const late = join(directory, 'late.sock')
    const finder = engineFinder({}, [strategy(late), strategy(broken)])
    await expect(finder.find()).rejects.toMatchObject({
      code: 'RUNTIME_UNAVAILABLE',
      message: expect.stringMatching(/late\.sock: there is no socket.*broken\.sock: out of order/),
    })
    await engineAt(late, (_, response) => response.end('OK'))
    expect((await finder.find()).where).toBe(late)
  })
})
