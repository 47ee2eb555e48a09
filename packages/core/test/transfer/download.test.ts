import { setImmediate } from 'node:timers/promises'
import type { Manifest } from '@manyhands/core'
import { expect, it, onTestFinished } from 'vitest'
import { atOnce } from '../../src/artifacts/turns.ts'
import { blocksOf } from '../../src/transfer/blocks.ts'
import { Download } from '../../src/transfer/download.ts'

const file = { path: '', size: 5, executable: false, chunks: new Uint8Array(32) }
const manifest: Manifest = { v: 2, kind: 'file', files: [file], directories: [] }

it('that is cut before it begins tells who waits for it, and nobody else', async () => {
  const unhandled: unknown[] = []
  const listen = (reason: unknown) => unhandled.push(reason)
  process.prependListener('unhandledRejection', listen)
  onTestFinished(() => void process.off('unhandledRejection', listen))
  const controller = new AbortController()
  const download = new Download({
    manifest,
    blocks: atOnce(blocksOf(manifest)),
    self: 'self',
    shared: false,
    governor: undefined,
    stallMs: 1000,
    signal: controller.signal,
    logger: undefined,
    onWritten: () => {},
    onSource: () => {},
  })
  const receiving = {
    present: async () => new Set<number>(),
    place: () => ({ path: '/nowhere' }),
    written: async () => {},
    close: async () => {},
  }
  expect(await download.plan(new Map([[0, { file: receiving, present: new Set() }]]))).toBe(5)
  controller.abort(new Error('cut'))
  await expect(download.receive()).rejects.toThrow('cut')
  // Once it has failed, it is not tried again.
  await expect(download.receive()).rejects.toThrow('cut')
  await setImmediate()
  expect(unhandled).toEqual([])
})
