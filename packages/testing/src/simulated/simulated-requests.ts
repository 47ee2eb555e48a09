import {
  decodeDocument,
  type ErrorDocument,
  encodeDocument,
  LIMITS,
  ManyhandsError,
  RPC_METHODS,
  type RpcMethod,
  type RpcParams,
  type RpcResult,
  toManyhandsError,
} from '@manyhands/core'
import type { PeerParts } from './peer-parts.ts'
import type { ConnectionEnd, SimulatedConnection } from './simulated-connection.ts'

type Handler = (params: never, context: { peer: string }) => Promise<unknown>

/** Bytes of an envelope around a request or an answer, about. */
const ENVELOPE_BYTES = 32
/** By how much later a request comes a second time, ms. */
const SECOND_TIME_MS = 1_000

/** Whoever can be asked. */
interface Asked extends ConnectionEnd {
  readonly requests: SimulatedRequests
}

/** What one simulated peer asks of others, and what they ask of it: encoded, and checked on both sides. */
export class SimulatedRequests {
  readonly #parts: PeerParts
  readonly #handlers = new Map<string, Handler>()

  constructor(parts: PeerParts) {
    this.#parts = parts
  }

  handle(method: RpcMethod, handler: Handler): void {
    this.#handlers.set(method, handler)
  }

  async call<Method extends RpcMethod>(
    peer: string,
    method: Method,
    params: RpcParams<Method>,
    options: { signal?: AbortSignal; timeoutMs?: number } = {},
  ): Promise<RpcResult<Method>> {
    const { signal, timeoutMs = LIMITS.rpcTimeoutMs } = options
    signal?.throwIfAborted()
    const request = encodeDocument(params)
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>()
    const aborted = () => reject(signal?.reason)
    const stopWaiting = this.#parts.clock.after(timeoutMs, () => {
      const text = `no answer to ${method} from ${peer} within ${timeoutMs} ms`
      reject(new ManyhandsError('TIMEOUT', text))
    })
    signal?.addEventListener('abort', aborted, { once: true })
    let forget: () => void = () => {}
    this.#parts.connection(peer).then((connection) => {
      forget = this.#parts.untilCut(connection, reject)
      this.#ask(connection, method, request, resolve, reject)
    }, reject)
    try {
      const answer = await promise
      const document = decodeDocument<unknown>(RPC_METHODS[method].result, answer, method)
      return document as RpcResult<Method>
    } finally {
      stopWaiting()
      forget()
      signal?.removeEventListener('abort', aborted)
    }
  }

  #ask(
    connection: SimulatedConnection,
    method: RpcMethod,
    request: Uint8Array,
    resolve: (answer: Uint8Array) => void,
    reject: (error: unknown) => void,
  ): void {
    const { end, wire, clock } = this.#parts
    const other = connection.other(end) as Asked
    const ask = () => {
      connection.send(end, ENVELOPE_BYTES + request.length, () => {
        void other.requests.#answer(connection, method, request).then(resolve, reject)
      })
    }
    ask()
    if (wire.random.chance(wire.duplicates)) clock.after(SECOND_TIME_MS, ask)
  }

  /** Resolves when the answer is with who asked. */
  async #answer(
    connection: SimulatedConnection,
    method: RpcMethod,
    request: Uint8Array,
  ): Promise<Uint8Array> {
    const { end } = this.#parts
    const peer = connection.other(end).peerId
    let answer: Uint8Array | undefined
    let error: ErrorDocument | undefined
    try {
      const handler = this.#handlers.get(method)
      if (handler === undefined) {
        throw new ManyhandsError('PROTOCOL', `${method} is not answered here`)
      }
      const params = decodeDocument<unknown>(RPC_METHODS[method].params, request, method)
      answer = encodeDocument(await handler(params as never, { peer }))
    } catch (cause) {
      error = toManyhandsError(cause).toJSON()
    }
    return new Promise((resolve, reject) => {
      connection.send(end, ENVELOPE_BYTES + (answer?.length ?? 256), () => {
        if (answer !== undefined) resolve(answer)
        else reject(ManyhandsError.fromJSON(error!))
      })
    })
  }
}
