import { readlinkSync } from 'node:fs'
import { getPriority, setPriority } from 'node:os'
import type { TLSSocket } from 'node:tls'
import { type MessagePort, parentPort } from 'node:worker_threads'
import { TRANSFER } from '../artifacts/transfer-limits.ts'
import { toManyhandsError } from '../errors.ts'
import { acceptBulk, dialBulk } from '../network/bulk-dial.ts'
import { BulkDoor } from '../network/bulk-door.ts'
import { BULK } from '../network/bulk-limits.ts'
import type { FrameStream } from '../network/network.ts'
import type { SocketFrameStream } from '../network/socket-frame-stream.ts'
import { FrameRing } from './frame-ring.ts'
import { createLaneDisk } from './lane-disk.ts'
import { lanePort } from './lane-port.ts'
import type { ThreadCommand, ThreadReport } from './lane-threads.ts'
import { runReceiveLane } from './receive-lane.ts'
import { runServeLane } from './serve-lane.ts'

/**
 * The program of a thread for bulk data: it makes the side sockets itself, since a socket cannot
 * change threads, and runs a lane over each.
 */
const main = parentPort as MessagePort
const door = new BulkDoor()
const streams = new Map<SocketFrameStream, string>()
const calls = new Map<number, () => void>()

main.on('message', (command: ThreadCommand) => {
  if (command.kind === 'cancel') calls.get(command.call)?.()
  else if (command.kind === 'cut') cut(command.peer)
  else {
    const work = command.kind === 'issue' ? issue(command) : dial(command)
    work
      .catch((error) => {
        command.port.close()
        report({ kind: 'failed', call: command.call, error: toManyhandsError(error).toJSON() })
      })
      .finally(() => calls.delete(command.call))
  }
})
yieldToOthers()

async function issue(command: ThreadCommand & { kind: 'issue' }): Promise<void> {
  const { call, peer, host, inbound } = command
  const issued = await door.issue(peer, host)
  calls.set(call, issued.cancel)
  report({ kind: 'issued', call, ticket: issued.ticket })
  const socket = await issued.redeemed
  run(command, acceptBulk(socket, peer, inbound), socket)
}

async function dial(command: ThreadCommand & { kind: 'dial' }): Promise<void> {
  const { call, peer, host, inbound, ticket } = command
  const abort = new AbortController()
  calls.set(call, () => abort.abort())
  const signal = AbortSignal.any([abort.signal, AbortSignal.timeout(BULK.setupMs)])
  run(command, ...(await dialBulk({ peer, host, ticket, inbound, signal })))
}

function run(command: ThreadCommand, stream: SocketFrameStream, socket: TLSSocket): void {
  if (command.kind !== 'issue' && command.kind !== 'dial') return
  const { call, peer, program, port } = command
  streams.set(stream, peer)
  report({ kind: 'open', call })
  socket.once('close', () => streams.delete(stream))
  void runLane(program, stream, port)
    .catch((error) => stream.abort(error))
    .finally(() => report({ kind: 'closed', call }))
}

async function runLane(
  program: 'receive' | 'serve',
  stream: FrameStream,
  port: MessagePort,
): Promise<void> {
  const disk = createLaneDisk({ blocking: true })
  if (program === 'receive') await runReceiveLane(stream, lanePort(port), disk)
  // A socket has taken a frame when it asks for the next.
  else await runServeLane(stream, lanePort(port), disk, new FrameRing(TRANSFER.frameBytes))
}

/** The last connection to a peer is closed: so is what lies beside it. */
function cut(peer: string): void {
  door.revoke(peer)
  for (const [stream, of] of streams) if (of === peer) stream.cut('the connection was closed')
}

function report(message: ThreadReport): void {
  main.postMessage(message)
}

/** Bulk data has time; what answers requests on other threads has not. */
function yieldToOthers(): void {
  try {
    const thread = Number(readlinkSync('/proc/thread-self').split('/').at(-1))
    setPriority(thread, Math.min(19, getPriority() + BULK.threadPriority))
  } catch {
    // Elsewhere a thread has the priority of its process.
  }
}
