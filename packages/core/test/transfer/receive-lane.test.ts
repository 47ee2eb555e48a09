import { MessageChannel } from 'node:worker_threads'
import { expect, it } from 'vitest'
import { sha256Now } from '../../src/artifacts/sha256.ts'
import { createLaneDisk, type LaneDisk } from '../../src/transfer/lane-disk.ts'
import type { ReceiveCommand, ReceiveReport } from '../../src/transfer/lane-messages.ts'
import { lanePort } from '../../src/transfer/lane-port.ts'
import { runReceiveLane } from '../../src/transfer/receive-lane.ts'
import { FRAME } from '../../src/transfer/transfer-frames.ts'
import { streamPair } from '../artifacts/memory-network.ts'
import { overlay } from './faulty-way.ts'

const CONTENT = Buffer.from('the whole of a small file')

function lane(disk: LaneDisk) {
  const [near, far] = streamPair()
  const { port1, port2 } = new MessageChannel()
  const ended = runReceiveLane(near, lanePort(port2), disk)
  const port = lanePort<ReceiveReport, ReceiveCommand>(port1)
  port.post({ kind: 'receive', peer: 'far', stallMs: 60_000 })
  const piece = {
    file: 0,
    position: 0,
    length: CONTENT.length,
    lengths: [CONTENT.length],
    hashes: new Uint8Array(sha256Now(CONTENT)),
    path: '/nowhere',
    temporary: '/nowhere-yet',
  }
  port.post({ kind: 'order', orders: [{ id: 7, pieces: [piece] }] })
  return { far, port, ended }
}

it('ends when a file fails after all its bytes have come, and nothing else is waited for', async () => {
  const writing = Promise.withResolvers<void>()
  const began = Promise.withResolvers<void>()
  const disk = overlay(createLaneDisk({ blocking: false }), {
    create: () => {
      began.resolve()
      return writing.promise
    },
  })
  const { far, port, ended } = lane(disk)
  await far.next()
  await far.send(Buffer.concat([Uint8Array.of(FRAME.data), CONTENT]))
  await began.promise
  // By now it waits for orders.
  await new Promise(setImmediate)
  writing.reject(Object.assign(new Error('write'), { code: 'ENOSPC' }))
  expect(await port.next()).toMatchObject({ kind: 'failed', error: { code: 'DISK_FULL' } })
  await ended
})
