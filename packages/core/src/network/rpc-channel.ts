import type { Connection, Stream } from '@libp2p/interface'
import { z } from 'zod'
import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { RPC_METHODS, type RpcMethod } from '../wire/rpc-methods.ts'
import type { Manners } from './manners/manners.ts'
import type { Offence } from './manners/offences.ts'
import { RANK, rankOf } from './reach/connection-rank.ts'
import { type RpcPeer, RpcStream } from './rpc-stream.ts'

/** Streams that one peer may have open to us; a second one comes from both opening at once. */
const STREAMS_PER_PEER = 8

export type RpcHandler = (params: never, context: { peer: string }) => Promise<unknown>

export interface RpcChannelOptions {
  peer: string
  handlers: ReadonlyMap<string, RpcHandler>
  /** Opens a stream to the peer, over the best connection to it or a new one. */
  open(): Promise<{ stream: Stream; connection: Connection }>
  /** Why the peer is not to be asked something, or may not ask it; undefined when it is fine. */
  fault?(method: RpcMethod, who: 'asks' | 'answers'): Error | undefined
  /** The best connection that there is. */
  best(): Connection | undefined
  /** The last stream is gone. */
  onIdle(): void
  manners: Manners
}

interface OpenStream {
  stream: RpcStream
  connection: Connection
  rank: number
}

/**
 * All requests between us and one peer. Each side asks over the open stream that it heard from last,
 * whoever opened it, and answers where it was asked; so there is one stream, or two when both opened at the
 * same moment, or when one lies on a connection that is dead and does not know it. When a better connection
 * stands than that of the stream, another one is opened there and asked over.
 */
export class RpcChannel implements RpcPeer {
  readonly peer: string
  answering = 0
  readonly #options: RpcChannelOptions
  /** The one that was heard from last comes first. */
  readonly #streams: OpenStream[] = []
  #opening: Promise<RpcStream> | undefined

  constructor(options: RpcChannelOptions) {
    this.peer = options.peer
    this.#options = options
  }

  /** Requests that are under way over a connection, in both directions. */
  openOn(connection: Connection): number {
    const over = this.#streams.filter((each) => each.connection === connection)
    return over.reduce((sum, { stream }) => sum + stream.pending + stream.answering, 0)
  }

  /** A stream that the peer opened. */
  accept(stream: Stream, connection: Connection): void {
    if (this.#streams.length >= STREAMS_PER_PEER) {
      stream.abort(new ManyhandsError('LIMIT', 'too many request streams of one peer'))
      this.offend('crowd')
      return
    }
    this.#add(stream, connection)
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
      const open = this.#bestStream()
      if (open === undefined) this.#open().then(ask, fail)
      else if (this.#isBehind(open)) this.#open().then(ask, () => ask(open.stream))
      else ask(open.stream)
    })
  }

  heard(stream: RpcStream): void {
    if (this.#streams[0]?.stream === stream) return
    const at = this.#streams.findIndex((each) => each.stream === stream)
    if (at >= 0) this.#streams.unshift(...this.#streams.splice(at, 1))
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
    for (const { stream } of [...this.#streams]) stream.abort(error)
  }

  /** The first of those over the best connection. */
  #bestStream(): OpenStream | undefined {
    let best = this.#streams[0]
    for (const each of this.#streams) if (best !== undefined && each.rank > best.rank) best = each
    return best
  }

  /** Whether there is a better connection by now. */
  #isBehind({ rank }: OpenStream): boolean {
    if (rank === RANK.direct) return false
    const best = this.#options.best()
    return best !== undefined && rankOf(best) > rank
  }

  #open(): Promise<RpcStream> {
    this.#opening ??= this.#options
      .open()
      .then(({ stream, connection }) => this.#add(stream, connection))
      .finally(() => {
        this.#opening = undefined
        if (this.#streams.length === 0) this.#options.onIdle()
      })
    return this.#opening
  }

  #add(stream: Stream, connection: Connection): RpcStream {
    const added = new RpcStream(stream, this, () => {
      const at = this.#streams.findIndex((each) => each.stream === added)
      if (at >= 0) this.#streams.splice(at, 1)
      if (this.#streams.length === 0 && this.#opening === undefined) this.#options.onIdle()
    })
    this.#streams.push({ stream: added, connection, rank: rankOf(connection) })
    return added
  }
}

function check(schema: z.ZodType, document: unknown, what: string): unknown {
  const parsed = schema.safeParse(document)
  if (parsed.success) return parsed.data
  throw new ManyhandsError('PROTOCOL', `${what}: ${z.prettifyError(parsed.error).slice(0, 500)}`)
}
