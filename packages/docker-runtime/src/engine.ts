import { stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ManyhandsError } from '@manyhands/core'
import Docker from 'dockerode'

const DEFAULT_SOCKET = '/var/run/docker.sock'
/** Long enough for a loaded engine, short enough that a hung one is noticed. */
const CALL_TIMEOUT_MS = 60_000

export interface EngineAddress {
  /** Path of the engine's unix socket, default `/var/run/docker.sock`. */
  socketPath?: string
  /** Instead: `unix:///path`, `tcp://host:2375` or `http://host:2375`. */
  host?: string
}

/** A connection to one engine, and what can be told about it without asking. */
export interface Engine {
  readonly docker: Docker
  /** For messages: where this engine is. */
  readonly where: string
  /** Whether the engine's containers are processes of this computer, so that their cgroups are here. */
  readonly local: boolean
  /** When the engine's process started, Unix ms; undefined where nothing tells. */
  startedAt(): Promise<number | undefined>
  /** Bounds a call: pass it as `abortSignal`. */
  deadline(timeoutMs?: number): AbortSignal
}

/** @throws CONFIG_INVALID for an address that is none */
export function connectEngine(address: EngineAddress): Engine {
  const target = parseAddress(address)
  // Every field is named because the client library fills gaps from environment variables.
  const neutral = {
    host: undefined,
    port: undefined,
    protocol: 'http' as const,
    pathPrefix: '/',
    socketPath: undefined,
    ca: undefined,
    cert: undefined,
    key: undefined,
    timeout: undefined,
  }
  const docker = create(
    target.socketPath === undefined
      ? { ...neutral, host: target.host, port: target.port }
      : { ...neutral, socketPath: target.socketPath },
  )
  return {
    docker,
    where: target.socketPath ?? `${target.host}:${target.port}`,
    local: target.socketPath !== undefined,
    async startedAt() {
      if (target.socketPath === undefined) return undefined
      // dockerd writes its pid beside its default socket each time it starts.
      const pidFile = join(dirname(target.socketPath), 'docker.pid')
      return stat(pidFile).then(
        (found) => found.mtimeMs,
        () => undefined,
      )
    },
    deadline: (timeoutMs = CALL_TIMEOUT_MS) => AbortSignal.timeout(timeoutMs),
  }
}

function create(options: ConstructorParameters<typeof Docker>[0]): Docker {
  try {
    return new Docker(options)
  } catch (error) {
    throw new ManyhandsError('CONFIG_INVALID', `docker: ${(error as Error).message}`, {
      cause: error,
    })
  }
}

function parseAddress({ socketPath, host }: EngineAddress): {
  socketPath?: string
  host?: string
  port?: number
} {
  if (host === undefined) return { socketPath: socketPath ?? DEFAULT_SOCKET }
  if (host.startsWith('unix://')) return { socketPath: host.slice(7) || DEFAULT_SOCKET }
  const url = URL.canParse(host) ? new URL(host) : undefined
  if (url === undefined || !['tcp:', 'http:'].includes(url.protocol)) {
    throw new ManyhandsError(
      'CONFIG_INVALID',
      `docker host: expected unix:///path or tcp://host:port, got ${JSON.stringify(host)}`,
    )
  }
  return { host: url.hostname, port: Number(url.port || 2375) }
}
