import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises'
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AddressPolicy } from '../src/egress/address-policy.ts'
import { EGRESS_LIMITS } from '../src/egress/egress-limits.ts'
import { EgressProxy } from '../src/egress/egress-proxy.ts'
import { sh } from './busybox-programs.ts'
import { engineForTests } from './engine-for-tests.ts'
import { SandboxForTests, until } from './sandbox-for-tests.ts'

const MIB = 1024 ** 2
const LOOPBACK = { egress: { allowNetworks: ['127.0.0.0/8'] } }

let http: HttpServer
let echo: Server
let asked: string[] = []
const portOf = (server: HttpServer | Server) => (server.address() as AddressInfo).port

beforeAll(async () => {
  http = createHttpServer((request, response) => {
    asked.push(`${request.method} ${request.url} ${request.headers.host}`)
    if (request.url === '/big') return response.end(Buffer.alloc(4 * MIB, 'x'))
    let body = ''
    request.on('data', (bytes) => {
      body += bytes
    })
    request.on('end', () =>
      response.end(`${request.method} ${body} ${request.headers['proxy-connection'] ?? 'clean'}\n`),
    )
    return undefined
  }).listen(0, '127.0.0.1')
  echo = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)).listen(
    0,
    '127.0.0.1',
  )
  await until(async () => http.listening && echo.listening, 'servers listen')
})
afterAll(() => {
  http.closeAllConnections()
  http.close()
  echo.close()
})

describe.skipIf(!(await engineForTests()))('a task with the network profile egress', () => {
  const url = () => `http://127.0.0.1:${portOf(http)}`
  const allowed = () => ({ networkProfile: { egress: [`127.0.0.1:${portOf(http)}`] } })

  it('reaches what is on its list by the proxy variables, and has no network beside it', async () => {
    await using sandbox = await SandboxForTests.open(LOOPBACK)
    expect(sandbox.runtime.capabilities.egress).toBe(true)
    asked = []
    const { stdout } = await sandbox.run(
      sh(
        `wget -q -O - ${url()}/hello; (printf 'POST ${url()}/post HTTP/1.1\\r\\nProxy-Connection: close\\r\\nHost: elsewhere\\r\\nContent-Length: 3\\r\\nConnection: close\\r\\n\\r\\nabc'; sleep 1) | nc 127.0.0.1 3128 | grep POST; ls /sys/class/net; echo "$HTTPS_PROXY $no_proxy"`,
      ),
      { ...allowed(), env: { HTTP_PROXY: 'http://elsewhere:1', no_proxy: '*' } },
    )
    expect(stdout).toBe(
      'GET  clean\nPOST abc clean\nlo\nhttp://127.0.0.1:3128 localhost,127.0.0.1,::1\n',
    )
    const host = `127.0.0.1:${portOf(http)}`
    expect(asked).toEqual([`GET /hello ${host}`, `POST /post ${host}`])
  })

  it('reaches nothing else', async () => {
    await using sandbox = await SandboxForTests.open(LOOPBACK)
    asked = []
    const other = portOf(echo)
    const { stdout } = await sandbox.run(
      sh(
        `wget -q -O - http://127.0.0.1:${other}/ 2>&1 | head -1; wget -q -O - http://localhost:${portOf(http)}/ 2>&1 | head -1;` +
          `printf 'CONNECT 127.0.0.1:${other} HTTP/1.1\\r\\n\\r\\n' | nc 127.0.0.1 3128 | head -1;` +
          `printf 'GET / HTTP/1.1\\r\\nhost: 127.0.0.1:${portOf(http)}\\r\\n\\r\\n' | nc 127.0.0.1 3128 | head -1;` +
          `printf 'nonsense\\r\\n\\r\\n' | nc 127.0.0.1 3128 | head -1`,
      ),
      allowed(),
    )
    expect(stdout.replaceAll('\r', '')).toBe(
      'wget: server returned error: HTTP/1.1 403 Forbidden\nwget: server returned error: HTTP/1.1 403 Forbidden\n' +
        'HTTP/1.1 403 Refused\nHTTP/1.1 403 Forbidden\nHTTP/1.1 400 Refused\n',
    )
    expect(asked).toEqual([])
  })

  it('is refused addresses that are not public although they are on its list', async () => {
    await using sandbox = await SandboxForTests.open()
    asked = []
    const { stdout } = await sandbox.run(sh(`wget -q -O - ${url()}/ 2>&1`), allowed())
    expect(stdout).toMatch(/403/)
    expect(asked).toEqual([])
  })

  it('is metered, and keeps its way out when the host’s process comes back', async () => {
    await using sandbox = await SandboxForTests.open(LOOPBACK)
    const { task } = await sandbox.start(
      sh(
        `until [ -e /out/go ]; do sleep 0.05; done; wget -q -O - ${url()}/big | wc -c >/out/first; until [ -e /out/again ]; do sleep 0.05; done; wget -q -O - ${url()}/hello >/out/second; sleep 100`,
      ),
      allowed(),
    )
    await task.exec?.(['/bin/touch', '/out/go'], {})
    await until(async () => (await task.stats()).netIn > 4 * MIB, 'the bytes are counted')
    expect((await task.stats()).netOut).toBeGreaterThan(20)
    await sandbox.reopen(LOOPBACK)
    const again = (await sandbox.runtime.recover(task.handle))!
    await again.exec?.(['/bin/touch', '/out/again'], {})
    await until(async () => (await again.stats()).netIn > 50, 'it reached it again')
    await again.remove()
  })

  it('cannot make the list longer, and an entry that is none starts nothing', async () => {
    await using sandbox = await SandboxForTests.open()
    await expect(
      sandbox.start(sh('true'), { networkProfile: { egress: ['http://x/'] } }),
    ).rejects.toMatchObject({ code: 'SPEC_INVALID' })
    expect(await sandbox.runtime.list()).toEqual([])
  })
})

describe('the egress proxy', () => {
  let directory: string
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), `manyhands-egress-${'x'.repeat(90)}`))
  })
  afterAll(() => rm(directory, { recursive: true, force: true }))

  const talk = async (text: string, end = true): Promise<string> => {
    const socket = connect({ path: `/proc/self/fd/${handle.fd}/egress.sock`, allowHalfOpen: true })
    let said = ''
    socket.on('data', (bytes) => {
      said += bytes
    })
    socket.on('error', () => {})
    socket.write(text)
    if (end) socket.end()
    await new Promise((resolve) => socket.once('close', resolve))
    return said
  }
  let handle: FileHandle
  beforeAll(async () => {
    handle = await open(directory)
  })
  afterAll(() => handle.close())

  it('tunnels by CONNECT, each way ending by itself, at a path of any length', async () => {
    const policy = new AddressPolicy(['127.0.0.0/8'])
    const port = portOf(echo)
    const proxy = await EgressProxy.open(directory, [`named.test:${port}`], policy, async () => [
      '127.0.0.1',
    ])
    try {
      const said = await talk(`CONNECT named.test:${port} HTTP/1.1\r\n\r\nhello`)
      expect(said).toBe('HTTP/1.1 200 Connection Established\r\n\r\nhello')
      expect(proxy.traffic()).toEqual({ in: 5, out: 5 })
    } finally {
      await proxy.close()
    }
  })

  it('asks the resolver once and believes no address that is not public', async () => {
    const answers = [['127.0.0.1', '10.0.0.1', '::ffff:169.254.169.254'], ['8.8.8.8']]
    let questions = 0
    const proxy = await EgressProxy.open(
      directory,
      ['rebind.test'],
      new AddressPolicy(),
      async () => answers[questions++]!,
    )
    try {
      expect(await talk('CONNECT rebind.test:443 HTTP/1.1\r\n\r\n')).toMatch(/^HTTP\/1.1 403/)
      expect(questions).toBe(1)
    } finally {
      await proxy.close()
    }
  })

  it('bounds headers', async () => {
    const proxy = await EgressProxy.open(directory, ['a.test'], new AddressPolicy())
    try {
      const long = 'x'.repeat(EGRESS_LIMITS.headerBytes + 1)
      expect(await talk(`GET http://a.test/ HTTP/1.1\r\nx: ${long}\r\n\r\n`)).toMatch(/ 400 /)
    } finally {
      await proxy.close()
    }
  })
})
