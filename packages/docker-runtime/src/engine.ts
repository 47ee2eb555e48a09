import { stat } from 'node:fs/promises'
import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { dirname, join } from 'node:path'
import { ManyhandsError } from '@manyhands/core'
import Docker from 'dockerode'
import { describeTarget, type EngineTarget } from './connect/engine-target.ts'

/** Long enough for a loaded engine, short enough that a hung one is noticed. */
const CALL_TIMEOUT_MS = 60_000
const SERVING_TIMEOUT_MS = 5000

/** A connection to one engine, and what can be told about it without asking. */
export interface Engine {
  readonly docker: Docker
  /** What another process needs to reach it. */
  readonly target: EngineTarget
  /** For messages: where this engine is. */
  readonly where: string
  /** Whether the engine's containers are processes of this computer, so that their cgroups are here. */
  readonly local: boolean
  /**
   * Whether the engine takes new connections. One that shuts down goes on answering on those it has,
   * and tells of containers that it stops itself as if they had ended.
   */
  isServing(): Promise<boolean>
  /** When the engine's process started, Unix ms; undefined where nothing tells. */
  startedAt(): Promise<number | undefined>
  /** Bounds a call: pass it as `abortSignal`. */
  deadline(timeoutMs?: number): AbortSignal
}

/** @throws CONFIG_INVALID for keys that are none */
export function createEngine(target: EngineTarget): Engine {
  const socketPath = 'socketPath' in target ? target.socketPath : undefined
  const once = create(target, { keepAlive: false })
  return {
    docker: create(target),
    target,
    where: describeTarget(target),
    local: socketPath !== undefined,
    isServing() {
      // The declared type has no signal, the client library does take one.
      const options = { abortSignal: AbortSignal.timeout(SERVING_TIMEOUT_MS) } as never
      const pinged = once.ping(options) as unknown as Promise<unknown>
      return pinged.then(
        () => true,
        (error: { statusCode?: number }) => error.statusCode !== undefined,
      )
    },
    async startedAt() {
      if (socketPath === undefined) return undefined
      // dockerd writes its pid beside its default socket each time it starts.
      return stat(join(dirname(socketPath), 'docker.pid')).then(
        (found) => found.mtimeMs,
        () => undefined,
      )
    },
    deadline: (timeoutMs = CALL_TIMEOUT_MS) => AbortSignal.timeout(timeoutMs),
  }
}

function create(target: EngineTarget, agentOptions?: { keepAlive: boolean }): Docker {
  const tls = 'tls' in target ? target.tls : undefined
  const pem = (text: string | Uint8Array | undefined) =>
    text === undefined ? undefined : Buffer.from(text)
  try {
    // Every field is named because the client library fills gaps from environment variables.
    return new Docker({
      host: 'host' in target ? target.host : undefined,
      port: 'port' in target ? target.port : undefined,
      socketPath: 'socketPath' in target ? target.socketPath : undefined,
      protocol: tls === undefined ? 'http' : 'https',
      pathPrefix: '/',
      ca: pem(tls?.ca),
      cert: pem(tls?.cert),
      key: pem(tls?.key),
      timeout: undefined,
      ...(agentOptions === undefined
        ? {}
        : { agent: new (tls === undefined ? HttpAgent : HttpsAgent)(agentOptions) }),
    } as ConstructorParameters<typeof Docker>[0])
  } catch (error) {
    throw new ManyhandsError('CONFIG_INVALID', `docker: ${(error as Error).message}`, {
      cause: error,
    })
  }
}
