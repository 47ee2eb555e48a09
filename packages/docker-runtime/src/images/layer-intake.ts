import { createHash, randomBytes } from 'node:crypto'
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { ManyhandsError, toManyhandsError } from '@manyhands/core'
import { IMAGE_LIMITS } from './image-limits.ts'

/** A layer's tar in a file, with the digest of what it holds. */
export interface TakenLayer {
  diffId: string
  path: string
  size: number
}

export interface LayerIntakeOptions {
  dir: string
  /** For messages. */
  what: string
  signal?: AbortSignal
  onWritten?: (bytes: number) => void
}

/** Bytes between two requests to the disk, so that the last one is short. */
const SYNC_BYTES = 64 * 1024 * 1024

/**
 * Writes what may be a layer into a file of its own, inflated where it is compressed, and says what it
 * is. The file is complete and on the disk when this resolves; when it rejects there is none.
 *
 * @param size - bytes that come
 * @throws IMAGE_INVALID for what grows beyond all measure, DISK_FULL, the signal's reason
 */
export async function takeLayer(
  body: AsyncIterable<Uint8Array>,
  size: number,
  { dir, what, signal, onWritten }: LayerIntakeOptions,
): Promise<TakenLayer> {
  const refuse = (why: string) => new ManyhandsError('IMAGE_INVALID', `${what}: a layer ${why}`)
  if (size > IMAGE_LIMITS.layerBytes) throw refuse(`of ${size} bytes`)
  const path = join(dir, `tmp-${randomBytes(9).toString('hex')}`)
  const handle = await open(path, 'wx', 0o600)
  const hash = createHash('sha256')
  const most = Math.min(
    IMAGE_LIMITS.layerBytes,
    size * IMAGE_LIMITS.inflateRatio + IMAGE_LIMITS.inflateSpareBytes,
  )
  let written = 0
  let unsynced = 0
  const write = async (source: AsyncIterable<Uint8Array>) => {
    for await (const bytes of source) {
      if (written + bytes.length > most) throw refuse(`grows from ${size} to over ${most} bytes`)
      hash.update(bytes)
      for (let at = 0; at < bytes.length; ) {
        const { bytesWritten } = await handle.write(bytes, at, bytes.length - at, written + at)
        at += bytesWritten
      }
      written += bytes.length
      unsynced += bytes.length
      if (unsynced >= SYNC_BYTES) {
        unsynced = 0
        await handle.datasync()
      }
      onWritten?.(bytes.length)
    }
  }
  try {
    const { kind, whole } = await sniff(body)
    if (kind === undefined) await write(whole)
    else {
      const inflate = kind === 'gzip' ? createGunzip() : createZstdDecompress()
      await pipeline(Readable.from(copies(whole)), inflate, write, { signal })
    }
    await handle.sync()
    await handle.close()
  } catch (error) {
    await handle.close().catch(() => {})
    await rm(path, { force: true })
    signal?.throwIfAborted()
    const code = String((error as { code?: unknown }).code)
    if (/^(Z_|ERR_ZSTD|ZSTD)/.test(code)) throw refuse(`is not what it was compressed as: ${code}`)
    throw toManyhandsError(error, 'RUNTIME_FAILED')
  }
  return { diffId: `sha256:${hash.digest('hex')}`, path, size: written }
}

const MAGIC = { gzip: [0x1f, 0x8b], zstd: [0x28, 0xb5, 0x2f, 0xfd] }

/** How the bytes are compressed, by how they begin; a tar begins with a name. */
async function sniff(
  body: AsyncIterable<Uint8Array>,
): Promise<{ kind: keyof typeof MAGIC | undefined; whole: AsyncIterable<Uint8Array> }> {
  const iterator = body[Symbol.asyncIterator]()
  const head: Uint8Array[] = []
  let length = 0
  while (length < 4) {
    const { value, done } = await iterator.next()
    if (done) break
    // The next piece may come in the same memory.
    head.push(value.slice())
    length += value.length
  }
  const first = Buffer.concat(head)
  const kinds = Object.keys(MAGIC) as (keyof typeof MAGIC)[]
  const kind = kinds.find((name) => MAGIC[name].every((byte, index) => first[index] === byte))
  const whole = async function* () {
    if (first.length > 0) yield first
    for (;;) {
      const { value, done } = await iterator.next()
      if (done) return
      yield value
    }
  }
  return { kind, whole: whole() }
}

/** Pieces that stay what they are while a stream holds them. */
async function* copies(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const bytes of body) yield bytes.slice()
}
