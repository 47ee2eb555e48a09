import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import { toManyhandsError } from '@manyhands/core'
import type { Host } from '@manyhands/host'
import { createControlApp } from './control-app.ts'
import { CONTROL_LIMITS } from './control-limits.ts'
import { VERSION } from './version.ts'

/** The API over a running host, on loopback only. Closing it leaves the host alone. */
export interface ControlServer extends AsyncDisposable {
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  readonly port: number
  /** What callers send as `Authorization: Bearer …`. */
  readonly token: string
  readonly version: string
  /** Ends open streams and requests. */
  close(): Promise<void>
}

export interface ControlServerOptions {
  host: Host
  /** Default: 32 random bytes. */
  token?: string
  /** Default: a free one. */
  port?: number
  /**
   * Ends the program of the host, when a caller asks for a drain that stops it. Omitted: such a request is
   * refused.
   */
  stop?: () => void
}

/**
 * Opens the control API of a host.
 *
 * @throws CONFIG_INVALID when the port cannot be had
 *
 * @example
 * await using control = await createControlServer({ host })
 * await fetch(`${control.url}/v1/attempts`, { headers: { authorization: `Bearer ${control.token}` } })
 */
export async function createControlServer(options: ControlServerOptions): Promise<ControlServer> {
  const token = options.token ?? randomBytes(32).toString('base64url')
  let port = 0
  const app = createControlApp({
    host: options.host,
    token,
    version: VERSION,
    port: () => port,
    stop: options.stop,
  })
  const server = createAdaptorServer({
    fetch: app.fetch,
    createServer,
    // The globals belong to the program that embeds this server.
    overrideGlobalObjects: false,
    serverOptions: {
      requestTimeout: CONTROL_LIMITS.requestMs,
      headersTimeout: CONTROL_LIMITS.requestMs,
      connectionsCheckingInterval: 1000,
    },
  }) as Server
  try {
    server.listen(options.port ?? 0, '127.0.0.1')
    await once(server, 'listening')
  } catch (error) {
    throw toManyhandsError(error, 'CONFIG_INVALID')
  }
  port = (server.address() as AddressInfo).port

  let closed: Promise<void> | undefined
  const close = () => {
    closed ??= new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
    return closed
  }
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    token,
    version: VERSION,
    close,
    [Symbol.asyncDispose]: close,
  }
}
