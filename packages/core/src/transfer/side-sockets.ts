import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { ManyhandsError } from '../errors.ts'
import { BULK } from '../network/bulk-limits.ts'
import {
  type BulkAnswer,
  type BulkRequest,
  bulkAnswerSchema,
  bulkRequestSchema,
} from '../network/bulk-messages.ts'
import type { FrameStream, Logger, Network } from '../network/network.ts'
import { decodeDocument, encodeDocument } from '../wire/codec.ts'
import { PROTOCOLS } from '../wire/protocols.ts'
import type { IssuedLane, LaneProgram, LaneThreads } from './lane-threads.ts'

/**
 * Agrees with peers on TLS sockets beside their connection, which threads work off. Whoever accepted
 * the connection accepts the socket too, since that way is known to work, and gives a ticket for it
 * over the connection; the other dials, whichever of the two wants the lane.
 */
export class SideSockets {
  readonly #threads: LaneThreads
  readonly #logger: Logger | undefined
  /** Peers beside whose connection it did not work, and until when it is not tried again. */
  readonly #hopeless = new Map<string, number>()

  constructor(threads: LaneThreads, logger: Logger | undefined) {
    this.#threads = threads
    this.#logger = logger
  }

  /** There will be a lane soon: what it runs on is made ready. */
  expect(): void {
    this.#threads.warm()
  }

  /** A lane on which this side receives; undefined where there is none. @throws signal's reason */
  async open(
    network: Network,
    peer: string,
    signal: AbortSignal,
  ): Promise<MessagePort | undefined> {
    if ((this.#hopeless.get(peer) ?? 0) > performance.now()) return undefined
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(BULK.setupMs)])
    const { port1, port2 } = new MessageChannel()
    try {
      if (await this.#agree(network, peer, port2, bounded)) return port1
    } catch (error) {
      port1.close()
      signal.throwIfAborted()
      this.#logger?.debug('no socket for bulk data', { peer, error })
    }
    port1.close()
    this.#avoid(peer)
    return undefined
  }

  /** Answers who wants a lane on which this side gives; `lane` gets its port. */
  async answer(control: FrameStream, lane: (port: MessagePort) => void): Promise<void> {
    const frame = await control.next()
    if (frame === undefined) return
    const request = decodeDocument(bulkRequestSchema, frame, 'bulk request')
    const known = request.protocol === PROTOCOLS.artifacts && control.route?.kind === 'direct'
    const { port1, port2 } = new MessageChannel()
    try {
      if (!known) await control.send(encodeDocument({ ok: false }))
      else if (request.ticket === undefined) {
        const issued = await this.#issue(control, 'serve', port2).catch(() => undefined)
        const answer: BulkAnswer = { ok: issued !== undefined, ticket: issued?.ticket }
        await control.send(encodeDocument(answer))
        await issued?.open
        if (issued !== undefined) return lane(port1)
      } else if (await this.#comeWith(control, request.ticket, port2)) return lane(port1)
    } catch (error) {
      port1.close()
      throw error
    }
    port1.close()
  }

  /** The last connection to a peer is closed: so is what lies beside it. */
  cut(peer: string): void {
    this.#hopeless.delete(peer)
    this.#threads.cut(peer)
  }

  async #agree(
    network: Network,
    peer: string,
    port: MessagePort,
    signal: AbortSignal,
  ): Promise<boolean> {
    const control = await network.openStream(peer, PROTOCOLS.bulk, { signal })
    const onAbort = () => control.abort(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    let issued: IssuedLane | undefined
    try {
      const { route } = control
      if (route?.kind !== 'direct' || route.remoteHost === undefined) {
        throw new ManyhandsError('CONNECT_FAILED', 'there is no other way beside this connection')
      }
      if (!route.dialed) issued = await this.#issue(control, 'receive', port)
      const request: BulkRequest = { v: 1, protocol: PROTOCOLS.artifacts, ticket: issued?.ticket }
      await control.send(encodeDocument(request))
      const answer = readAnswer(await control.next(), peer)
      await control.close()
      if (!answer.ok) return false
      if (issued !== undefined) {
        await issued.open
        return true
      }
      const { ticket } = answer
      if (ticket === undefined) {
        throw new ManyhandsError('PROTOCOL', `peer ${peer} agreed to a socket and gave no ticket`)
      }
      const host = route.remoteHost
      await this.#threads.dial(
        { peer, host, ticket, inbound: false, program: 'receive', port },
        signal,
      )
      return true
    } catch (error) {
      control.abort(error)
      throw error
    } finally {
      signal.removeEventListener('abort', onAbort)
      issued?.cancel()
    }
  }

  #issue(control: FrameStream, program: LaneProgram, port: MessagePort): Promise<IssuedLane> {
    const { peer, route } = control
    // Only who accepted the connection is known to be reachable.
    if (route === undefined || route.dialed || route.ownHost === undefined) {
      throw new ManyhandsError('CONNECT_FAILED', 'we do not listen where the peer could come')
    }
    const inbound = program === 'serve'
    return this.#threads.issue({ peer, host: route.ownHost, inbound, program, port })
  }

  async #comeWith(
    control: FrameStream,
    ticket: NonNullable<BulkRequest['ticket']>,
    port: MessagePort,
  ): Promise<boolean> {
    const { peer, route } = control
    // Only where we have dialed already: nobody sends us to a third party's ports.
    const host = route?.dialed ? route.remoteHost : undefined
    const signal = AbortSignal.timeout(BULK.setupMs)
    const ok =
      host !== undefined &&
      (await this.#threads
        .dial({ peer, host, ticket, inbound: true, program: 'serve', port }, signal)
        .then(
          () => true,
          () => false,
        ))
    await control.send(encodeDocument({ ok }))
    return ok
  }

  #avoid(peer: string): void {
    this.#hopeless.set(peer, performance.now() + BULK.retryMs)
    for (const oldest of this.#hopeless.keys()) {
      if (this.#hopeless.size <= BULK.hopelessPeers) break
      this.#hopeless.delete(oldest)
    }
  }
}

function readAnswer(frame: Uint8Array | undefined, peer: string): BulkAnswer {
  if (frame !== undefined) return decodeDocument(bulkAnswerSchema, frame, 'bulk answer')
  throw new ManyhandsError('PROTOCOL', `peer ${peer} did not answer the wish for a socket`)
}
