import { type IncomingMessage, request } from 'node:http'
import { isIPv4 } from 'node:net'
import { ManyhandsError } from '../../errors.ts'
import type { FoundGateway } from './gateway-search.ts'
import { MAPPING } from './mapping-limits.ts'

/** Services that map ports, the one that is preferred first. */
const SERVICES = ['WANIPConnection:2', 'WANIPConnection:1', 'WANPPPConnection:1'].map(
  (name) => `urn:schemas-upnp-org:service:${name}`,
)

/** What routers answer, in the words of UPnP, that is dealt with. */
export const REFUSAL = {
  notAuthorized: 606,
  taken: 718,
  samePort: 724,
  onlyPermanent: 725,
} as const

export interface MappedPort {
  externalPort: number
  internalPort: number
  leaseSeconds: number
}

/** A router with a service that maps ports. Everything that it says is bounded, and none of it is believed further. */
export class Gateway {
  /** For people. */
  readonly host: string
  readonly localAddress: string
  readonly #control: URL
  readonly #service: string

  private constructor(found: FoundGateway, service: string, control: URL) {
    this.host = found.location.hostname
    this.localAddress = found.localAddress
    this.#control = control
    this.#service = service
  }

  /** Asks a router what it can do. @throws CONNECT_FAILED when it maps no ports, or does not answer */
  static async open(found: FoundGateway, signal: AbortSignal): Promise<Gateway> {
    const { status, text } = await exchange(found.location, { signal })
    if (status !== 200) throw refused(found.location, `its description is missing (${status})`)
    const services = [...text.matchAll(/<service>(.*?)<\/service>/gs)].map(
      ([, inside = '']) => inside,
    )
    for (const service of SERVICES) {
      const path = services
        .filter((inside) => textOf(inside, 'serviceType') === service)
        .map((inside) => textOf(inside, 'controlURL'))
        .find((value) => value !== undefined)
      if (path === undefined || !URL.canParse(path, found.location.href)) continue
      const control = new URL(path, found.location)
      if (control.protocol === 'http:' && control.hostname === found.location.hostname) {
        return new Gateway(found, service, control)
      }
    }
    throw refused(found.location, 'it does not map ports')
  }

  /** The router's address outside. @throws CONNECT_FAILED */
  async externalAddress(signal: AbortSignal): Promise<string> {
    const answer = await this.#ask('GetExternalIPAddress', {}, signal)
    const address = textOf(answer, 'NewExternalIPAddress') ?? ''
    if (!isIPv4(address)) throw refused(this.#control, 'it has no address outside')
    return address
  }

  /** Has the router pass on what comes at a TCP port outside. Again: renews it. @throws CONNECT_FAILED */
  async map(
    { externalPort, internalPort, leaseSeconds }: MappedPort,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#ask(
      'AddPortMapping',
      {
        NewRemoteHost: '',
        NewExternalPort: externalPort,
        NewProtocol: 'TCP',
        NewInternalPort: internalPort,
        NewInternalClient: this.localAddress,
        NewEnabled: 1,
        NewPortMappingDescription: 'manyhands',
        NewLeaseDuration: leaseSeconds,
      },
      signal,
    )
  }

  /** Takes a mapping back. @throws CONNECT_FAILED */
  async unmap(externalPort: number, signal: AbortSignal): Promise<void> {
    const port = { NewRemoteHost: '', NewExternalPort: externalPort, NewProtocol: 'TCP' }
    await this.#ask('DeletePortMapping', port, signal)
  }

  async #ask(
    action: string,
    values: Record<string, string | number>,
    signal: AbortSignal,
  ): Promise<string> {
    const inside = Object.entries(values).map(([name, value]) => `<${name}>${value}</${name}>`)
    const body = `<?xml version="1.0"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body><u:${action} xmlns:u="${this.#service}">${inside.join('')}</u:${action}></s:Body></s:Envelope>`
    const { status, text } = await exchange(this.#control, {
      signal,
      body,
      headers: {
        'content-type': 'text/xml; charset="utf-8"',
        soapaction: `"${this.#service}#${action}"`,
      },
    })
    if (status === 200) return text
    const code = Number(textOf(text, 'errorCode')) || status
    const said = textOf(text, 'errorDescription')?.slice(0, 200) ?? 'no reason given'
    throw refused(this.#control, `${action} was refused: ${said} (${code})`, code)
  }
}

/** The code with which a router refused, if it did. */
export function refusalOf(error: unknown): number | undefined {
  return error instanceof ManyhandsError
    ? (error.details?.['upnp'] as number | undefined)
    : undefined
}

function refused({ hostname }: URL, why: string, upnp?: number): ManyhandsError {
  return new ManyhandsError('CONNECT_FAILED', `the router at ${hostname}: ${why}`, {
    hint: 'Allow UPnP in the settings of the router, or forward a port there by hand.',
    details: upnp === undefined ? undefined : { upnp },
  })
}

/** The text between the tags of the first such element. Values that we look for are plain. */
function textOf(text: string, name: string): string | undefined {
  return new RegExp(`<(?:\\w+:)?${name}(?:\\s[^>]*)?>([^<]*)<`).exec(text)?.[1]?.trim()
}

interface Exchange {
  signal: AbortSignal
  body?: string
  headers?: Record<string, string>
}

/** One request to a router, bounded. @throws CONNECT_FAILED */
async function exchange(url: URL, { signal, body, headers }: Exchange) {
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(MAPPING.requestMs)])
  try {
    const method = body === undefined ? 'GET' : 'POST'
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      // Routers are known to want the length, and a connection for each request.
      const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }
      const options = { method, agent: false, signal: bounded, headers: { ...headers, ...length } }
      request(url, options, resolve).on('error', reject).end(body)
    })
    let text = ''
    answer.setEncoding('utf8')
    for await (const chunk of answer) {
      text += chunk
      if (text.length > MAPPING.documentBytes) throw refused(url, 'it says too much')
    }
    return { status: answer.statusCode ?? 0, text }
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof ManyhandsError) throw error
    throw refused(url, `it does not answer (${(error as Error).message})`)
  }
}
