import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { Gateway, refusalOf } from '../../src/network/port-mapping/gateway.ts'
import { locationOf } from '../../src/network/port-mapping/gateway-search.ts'

const HOST = '127.0.0.1'
const SERVICE = 'urn:schemas-upnp-org:service:WANIPConnection:1'

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0)) close()
})

type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => void

/** What says to be a router. */
async function router(answer: Answer): Promise<URL> {
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    answer(request, response, body)
  })
  server.listen(0, HOST)
  await once(server, 'listening')
  closers.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return new URL(`http://${HOST}:${(server.address() as AddressInfo).port}/root.xml`)
}

const description = (control: string, service = SERVICE) =>
  `<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><device><serviceList>
    <service><serviceType>urn:other</serviceType><controlURL>/other</controlURL></service>
    <service><serviceType>${service}</serviceType><controlURL>${control}</controlURL></service>
  </serviceList></device></root>`

const open = (location: URL, signal = new AbortController().signal) =>
  Gateway.open({ location, localAddress: '192.168.1.10' }, signal)

describe('what answers a search', () => {
  const answer = (location: string) =>
    Buffer.from(`HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nLocation: ${location}\r\n\r\n`)

  it('is where it says to be', () => {
    const url = `http://${HOST}:5000/root.xml`
    expect(locationOf(answer(url), HOST)?.href).toBe(url)
  })

  it.each([
    ['another computer', answer('http://10.0.0.1:5000/root.xml')],
    ['another protocol', answer(`https://${HOST}/root.xml`)],
    ['a file', answer('file:///etc/passwd')],
    ['no address', answer('http://')],
    ['nothing', Buffer.from('HTTP/1.1 200 OK\r\n\r\n')],
    ['no answer', Buffer.from(`NOTIFY * HTTP/1.1\r\nLocation: http://${HOST}/\r\n\r\n`)],
    ['garbage', Buffer.from([0, 255, 13, 10])],
    ['too much', Buffer.concat([answer(`http://${HOST}/`), Buffer.alloc(4096, 'a')])],
  ])('and is not believed when it names %s', (_, message) => {
    expect(locationOf(message, HOST)).toBeUndefined()
  })
})

describe('a router', () => {
  it('is asked in its own words, and its refusals are told', async () => {
    const asked: string[] = []
    const location = await router((request, response, body) => {
      if (request.method === 'GET') return void response.end(description('/ctl'))
      asked.push(String(request.headers['soapaction']))
      if (body.includes('GetExternal')) {
        response.end(
          '<s:Body><u:R><NewExternalIPAddress>45.1.0.2</NewExternalIPAddress></u:R></s:Body>',
        )
      } else if (body.includes('AddPort')) {
        expect(body).toContain('<NewInternalClient>192.168.1.10</NewInternalClient>')
        response.statusCode = 500
        response.end(
          '<UPnPError xmlns="x"><errorCode>718</errorCode><errorDescription>Conflict</errorDescription></UPnPError>',
        )
      } else response.end()
    })
    const { signal } = new AbortController()
    const gateway = await open(location)
    expect(await gateway.externalAddress(signal)).toBe('45.1.0.2')
    const refused = await gateway
      .map({ externalPort: 4001, internalPort: 4001, leaseSeconds: 60 }, signal)
      .catch((error) => error)
    expect(refused).toMatchObject({
      code: 'CONNECT_FAILED',
      message: expect.stringContaining('Conflict (718)'),
      hint: expect.stringContaining('settings of the router'),
    })
    expect(refusalOf(refused)).toBe(718)
    await gateway.unmap(4001, signal)
    expect(asked).toEqual(
      ['GetExternalIPAddress', 'AddPortMapping', 'DeletePortMapping'].map(
        (each) => `"${SERVICE}#${each}"`,
      ),
    )
  })

  it.each([
    ['sends us to another computer', description('http://10.0.0.1/ctl')],
    ['maps no ports', description('/ctl', 'urn:schemas-upnp-org:service:Layer3Forwarding:1')],
    ['says nothing', ''],
    ['does not know XML', '<service><serviceType>'],
  ])('that %s is none', async (_, text) => {
    const location = await router((_request, response) => void response.end(text))
    await expect(open(location)).rejects.toMatchObject({
      message: expect.stringContaining('map ports'),
    })
  })

  it('that never stops talking is left', async () => {
    const location = await router((_request, response) => {
      const talk = (): void => {
        while (response.write(Buffer.alloc(64 * 1024, 'a')));
      }
      response.on('drain', talk)
      talk()
    })
    await expect(open(location)).rejects.toMatchObject({
      message: expect.stringContaining('says too much'),
    })
  })

  it('that says nothing is waited for no longer than the caller wants', async () => {
    const controller = new AbortController()
    const location = await router(() => controller.abort(new Error('enough')))
    await expect(open(location, controller.signal)).rejects.toThrow('enough')
  })

  it('whose address outside is no address has none', async () => {
    const location = await router((request, response) => {
      response.end(
        request.method === 'GET'
          ? description('/ctl')
          : '<NewExternalIPAddress></NewExternalIPAddress>',
      )
    })
    const gateway = await open(location)
    await expect(gateway.externalAddress(new AbortController().signal)).rejects.toMatchObject({
      message: expect.stringContaining('no address outside'),
    })
  })
})
