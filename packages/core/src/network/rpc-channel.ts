import type { Stream } from '@libp2p/interface'
import { z } from 'zod'
import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { RPC_METHODS, type RpcMethod } from '../wire/rpc-methods.ts'
import type { Manners } from './manners/manners.ts'
import type { Offence } from './manners/offences.ts'
import { type RpcPeer, RpcStream } from './rpc-stream.ts'

/** Streams that one peer may have open to us; a second one comes from both opening at once. */
const STREAMS_PER_PEER = 8

export type RpcHandler = (params: never, context: { peer: string }) => Promise<unknown>

export interface RpcChannelOptions {
  peer: string
  handlers: ReadonlyMap<string, RpcHandler>
  /** Opens a stream to the peer. */
  open(): Promise<Stream>
  /** Why the peer is not to be asked something, or may not ask it; undefined when it is fine. */
  fault?(method: RpcMethod, who: 'asks' | 'answers'): Error | undefined
  /** The last stream is gone. */
  onIdle(): void
  manners: Manners
}

/**
 * All requests between us and one peer. Each side asks over the open stream that it heard from last,
 * whoever opened it, and answers where it was asked; so there is one stream, or two when both opened at the
 * same moment, or when one lies on a connection that is dead and does not know it.
 */
export class RpcChannel implements RpcPeer {
  readonly peer: string
  answering = 0
  readonly #options: RpcChannelOptions
  /** The one that was heard from last comes first. */
  readonly #streams: RpcStream[] = []
  #opening: Promise<RpcStream> | undefined

  constructor(options: RpcChannelOptions) {
    this.peer = options.peer
    this.#options = options
  }

  /** A stream that the peer opened. */
  accept(stream: Stream): void {
    if (this.#streams.length >= STREAMS_PER_PEER) {
      stream.abort(new ManyhandsError('LIMIT', 'too many request streams of one peer'))
      this.offend('crowd')
      return
    }
    this.#add(stream)
  }

  /** Asks. Params and result are checked here; their types are the caller's business. */
  call(
    method: RpcMethod,
    params: unknown,
    { signal, timeoutMs = LIMITS.rpcTimeoutMs }: { signal?: AbortSignal; timeoutMs?: number } = {},
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const checked = check(RPC_METHODS[method].params, params, `params of ${method}`)
      let request: { forget(): void } | undefined
      let settled = false
      const settle = (): boolean => {
        if (settled) return false
        settled = true
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        request?.forget()
        return true
      }
      const fail = (error: unknown): void => {
        if (settle()) reject(error)
      }
      const onAbort = (): void => fail(signal?.reason)
      const timer = setTimeout(() => {
        const text = `no answer to ${method} from ${this.peer} within ${timeoutMs} ms`
        fail(new ManyhandsError('TIMEOUT', text))
      }, timeoutMs).unref()
      signal?.addEventListener('abort', onAbort)

      const ask = (stream: RpcStream): void => {
        if (settled) return
        const fault = this.#options.fault?.(method, 'answers')
        if (fault !== undefined) {
          fail(fault)
          return
        }
        if (stream.pending >= LIMITS.rpcPendingPerPeer) {
          fail(new ManyhandsError('LIMIT', `too many requests to ${this.peer} are open`))
          return
        }
        try {
          request = stream.request(method, checked, {
            resolve: (result) => {
              try {
                const document = check(RPC_METHODS[method].result, result, `answer to ${method}`)
                if (settle()) resolve(document)
              } catch (error) {
                fail(error)
              }
            },
            reject: fail,
          })
        } catch (error) {
          fail(error)
        }
      }
      const open = this.#streams[0]
      if (open !== undefined) ask(open)
      else this.#open().then(ask, fail)
    })
  }

  heard(stream: RpcStream): void {
    if (this.#streams[0] === stream) return
    const at = this.#streams.indexOf(stream)
    if (at < 0) return
    this.#streams.splice(at, 1)
    this.#streams.unshift(stream)
  }

  async answer(method: string, params: unknown): Promise<unknown> {
    const handler = this.#options.handlers.get(method)
    if (handler === undefined || !Object.hasOwn(RPC_METHODS, method)) {
      throw new ManyhandsError('PROTOCOL', `${method.slice(0, 64)} is not answered here`)
    }
    const fault = this.#options.fault?.(method as RpcMethod, 'asks')
    if (fault !== undefined) throw fault
    const row = RPC_METHODS[method as RpcMethod]
    const checked = check(row.params, params, `params of ${method}`)
    const result = await handler(checked as never, { peer: this.peer })
    return check(row.result, result, `answer to ${method}`)
  }

  admits(bytes: number): boolean {
    const { requests, requestBytes } = this.#options.manners.pace(this.peer)
    return requests.take() && requestBytes.take(bytes)
  }

  offend(offence: Offence): void {
    this.#options.manners.offend(this.peer, offence)
  }

  spoke(): void {
    this.#options.manners.spoke(this.peer)
  }

  abort(error: Error): void {
    for (const stream of [...this.#streams]) stream.abort(error)
  }

  #open(): Promise<RpcStream> {
    this.#opening ??= this.#options
      .open()
      .then((stream) => this.#add(stream))
      .finally(() => {
        this.#opening = undefined
        if (this.#streams.length === 0) this.#options.onIdle()
      })
    return this.#opening
  }

  #add(stream: Stream): RpcStream {
    const added = new RpcStream(stream, this, () => {
      this.#streams.splice(this.#streams.indexOf(added), 1)
      if (this.#streams.length === 0 && this.#opening === undefined) this.#options.onIdle()
    })
    this.#streams.push(added)
    return added
  }
}

function check(schema: z.ZodType, document: unknown, what: string): unknown {
  const parsed = schema.safeParse(document)
  if (parsed.success) return parsed.data
  throw new ManyhandsError('PROTOCOL', `${what}: ${z.prettifyError(parsed.error).slice(0, 500)}`)
}
