import { MessageChannel, type MessagePort } from 'node:worker_threads'
import type { TransferSource } from '../artifacts/artifact-store.ts'
import { type ErrorDocument, ManyhandsError, toManyhandsError } from '../errors.ts'
import type { FrameStream } from '../network/network.ts'
import { createLaneDisk } from './lane-disk.ts'
import type { ReceiveCommand, ReceiveOrder, ReceiveReport } from './lane-messages.ts'
import { type LanePort, lanePort } from './lane-port.ts'
import { runReceiveLane } from './receive-lane.ts'
import { openFrame, readFailed } from './transfer-messages.ts'

export type LanePath = TransferSource['path']

export interface LaneStart {
  peer: string
  /** The artifact and the ticket that lets us have it; absent on a stream over which the manifest came. */
  wanted?: { root: string; ticket?: string }
  stallMs: number
}

export interface LaneEvents {
  /** Verified and written. */
  onDone(order: number): void
  /** It takes no more orders, those that are not done are void; without an error it was ended. */
  onEnd(error?: ManyhandsError): void
}

/** The receiving end of a lane, seen by who plans. */
export interface ReceivingLane {
  readonly path: LanePath
  order(orders: ReceiveOrder[]): void
  /** Resolves when it has ended; nothing is written after that. */
  end(): Promise<void>
  /** Ends it at once. Resolves when nothing is written any more. */
  fail(error: ManyhandsError): Promise<void>
}

/** A lane that another thread runs. */
export function threadLane(
  port: MessagePort,
  path: LanePath,
  start: LaneStart,
  events: LaneEvents,
): ReceivingLane {
  return new PortLane(lanePort(port), path, start, events)
}

/** A lane over a stream of this thread. */
export function streamLane(
  stream: FrameStream,
  start: LaneStart,
  events: LaneEvents,
): ReceivingLane {
  const { port1, port2 } = new MessageChannel()
  const disk = createLaneDisk({ blocking: false })
  void runReceiveLane(stream, lanePort(port2), disk).catch((error) => stream.abort(error))
  const path = stream.route?.kind === 'relayed' ? 'relay' : 'stream'
  return new PortLane(lanePort(port1), path, start, events)
}

class PortLane implements ReceivingLane {
  readonly path: LanePath
  readonly #port: LanePort<ReceiveReport, ReceiveCommand>
  readonly #events: LaneEvents
  readonly #ended = Promise.withResolvers<void>()
  #over = false

  constructor(
    port: LanePort<ReceiveReport, ReceiveCommand>,
    path: LanePath,
    start: LaneStart,
    events: LaneEvents,
  ) {
    this.path = path
    this.#port = port
    this.#events = events
    const { peer, wanted, stallMs } = start
    const open = wanted && openFrame({ v: 2, kind: 'lane', ...wanted })
    port.post({ kind: 'receive', peer, stallMs, open })
    port.listen(
      (report) => {
        if (report.kind === 'done') for (const id of report.ids) events.onDone(id)
        else if (report.kind === 'refused') this.#finish(reasonOf(report.frame))
        else this.#finish(report.kind === 'failed' ? report.error : undefined)
      },
      () => this.#finish({ code: 'PEER_GONE', message: `the lane of ${start.peer} was closed` }),
    )
  }

  order(orders: ReceiveOrder[]): void {
    this.#port.post({ kind: 'order', orders })
  }

  end(): Promise<void> {
    if (!this.#over) this.#port.post({ kind: 'end' })
    return this.#ended.promise
  }

  fail(error: ManyhandsError): Promise<void> {
    if (!this.#over) this.#port.post({ kind: 'fail', error: error.toJSON() })
    return this.#ended.promise
  }

  #finish(error?: Pick<ErrorDocument, 'code' | 'message'>): void {
    if (this.#over) return
    this.#over = true
    this.#port.close()
    this.#ended.resolve()
    this.#events.onEnd(error === undefined ? undefined : ManyhandsError.fromJSON(error))
  }
}

function reasonOf(frame: Uint8Array): ErrorDocument {
  try {
    return readFailed(frame).toJSON()
  } catch (error) {
    return toManyhandsError(error).toJSON()
  }
}
