import { ManyhandsError } from '@manyhands/core'
import type { EngineTls } from './engine-address.ts'

export const STANDARD_SOCKET = '/var/run/docker.sock'
export const WINDOWS_PIPE = '//./pipe/docker_engine'
const PLAIN_PORT = 2375
const TLS_PORT = 2376

/** One address to try: a socket (or named pipe) of this computer, or a port anywhere. */
export type EngineTarget =
  | { socketPath: string }
  | { host: string; port: number; tls: EngineTls | undefined }

export function describeTarget(target: EngineTarget): string {
  return 'socketPath' in target ? target.socketPath : `${target.host}:${target.port}`
}

/** @throws CONFIG_INVALID for an address that is none, or that is reached by ssh */
export function parseTarget(address: string, tls?: EngineTls): EngineTarget {
  if (address.startsWith('unix://')) return { socketPath: address.slice(7) || STANDARD_SOCKET }
  if (address.startsWith('npipe://')) return { socketPath: address.slice(8) || WINDOWS_PIPE }
  const url = URL.canParse(address) ? new URL(address) : undefined
  if (url?.protocol === 'ssh:') {
    throw new ManyhandsError('CONFIG_INVALID', `docker host: ${address} is reached by ssh`, {
      hint: 'Forward the socket (ssh -L /tmp/engine.sock:/var/run/docker.sock HOST) and name unix:///tmp/engine.sock.',
    })
  }
  if (url === undefined || url.hostname === '' || !/^(tcp|https?):$/.test(url.protocol)) {
    const got = JSON.stringify(address.slice(0, 200))
    throw new ManyhandsError(
      'CONFIG_INVALID',
      `docker host: expected unix:///path or tcp://host:port, got ${got}`,
    )
  }
  const secured = url.protocol === 'https:' ? (tls ?? {}) : tls
  if (url.protocol === 'http:' && tls !== undefined) {
    throw new ManyhandsError(
      'CONFIG_INVALID',
      `docker host: ${address} says http, but has TLS keys`,
    )
  }
  const port = Number(url.port || (secured === undefined ? PLAIN_PORT : TLS_PORT))
  // An address in brackets is the URL's way of writing it, not the resolver's.
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port, tls: secured }
}
