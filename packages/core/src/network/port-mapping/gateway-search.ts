import { createSocket, type Socket } from 'node:dgram'
import { networkInterfaces } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { REACH, reachOf } from '../host-reach.ts'
import { MAPPING } from './mapping-limits.ts'

const GROUP = '239.255.255.250'
const PORT = 1900
const KINDS = [2, 1].map(
  (version) => `urn:schemas-upnp-org:device:InternetGatewayDevice:${version}`,
)

/** A router that has answered, and our address on its side. */
export interface FoundGateway {
  /** Of its description. */
  location: URL
  localAddress: string
}

/**
 * Routers of the local networks that say that ports can be mapped there (SSDP), the first to answer first.
 * What an answer names must be at the address that it came from: it cannot send us elsewhere.
 */
export async function* searchGateways(signal: AbortSignal): AsyncGenerator<FoundGateway> {
  const done = new AbortController()
  const found: FoundGateway[] = []
  let stirred = Promise.withResolvers<void>()
  const hear = (gateway: FoundGateway): void => {
    if (found.some(({ location }) => location.href === gateway.location.href)) return
    if (found.length < MAPPING.gateways) found.push(gateway)
    stirred.resolve()
    stirred = Promise.withResolvers()
  }
  const over = AbortSignal.any([signal, done.signal])
  const asked = localAddresses().map((address) => askAt(address, hear, over))
  let ended = false
  const end = Promise.all(asked).then(() => {
    ended = true
  })
  try {
    for (let next = 0; ; next += 1) {
      while (next >= found.length && !ended) await Promise.race([stirred.promise, end])
      const gateway = found[next]
      if (gateway === undefined) return
      yield gateway
    }
  } finally {
    done.abort()
    await end
  }
}

/** Our addresses on networks with a router of their own. */
export function localAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ family, address }) => family === 'IPv4' && reachOf(address) === REACH.site)
    .map(({ address }) => address)
}

async function askAt(
  localAddress: string,
  hear: (gateway: FoundGateway) => void,
  signal: AbortSignal,
): Promise<void> {
  const socket = createSocket('udp4').unref()
  socket.on('message', (message, { address }) => {
    const location = locationOf(message, address)
    if (location !== undefined) hear({ location, localAddress })
  })
  try {
    await bind(socket, localAddress)
    socket.setMulticastInterface(localAddress)
    let before = 0
    for (const at of [...MAPPING.askAgainMs, MAPPING.searchMs]) {
      await delay(at - before, undefined, { signal, ref: false })
      before = at
      if (at < MAPPING.searchMs) for (const kind of KINDS) ask(socket, kind)
    }
  } catch {
    // Ended early, or an interface that does not take part: the others are asked.
  } finally {
    socket.close()
  }
}

function bind(socket: Socket, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.on('error', reject)
    socket.bind({ address, port: 0, exclusive: true }, resolve)
  })
}

function ask(socket: Socket, kind: string): void {
  const lines = ['M-SEARCH * HTTP/1.1', `HOST: ${GROUP}:${PORT}`, 'MAN: "ssdp:discover"', 'MX: 1']
  // An interface that has just gone down; what can be done is to ask again later.
  socket.send([...lines, `ST: ${kind}`, '', ''].join('\r\n'), PORT, GROUP, () => {})
}

/** Where an answer says that its description is. */
export function locationOf(message: Buffer, sender: string): URL | undefined {
  if (message.length > MAPPING.answerBytes) return undefined
  const text = message.toString('latin1')
  if (!/^HTTP\/1\.[01] 200\b/.test(text)) return undefined
  const [, location] = /^location:[ \t]*(\S+)/im.exec(text) ?? []
  if (location === undefined || !URL.canParse(location)) return undefined
  const url = new URL(location)
  return url.protocol === 'http:' && url.hostname === sender ? url : undefined
}
