import { type FileHandle, open, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { ManifestFile } from './artifact-store.ts'
import { chunkCount, chunkHash, chunkLength, chunkOffset } from './chunk-layout.ts'
import { concurrently } from './concurrently.ts'
import type { ContentFiles } from './content-files.ts'
import { type DurableDirectory, seal } from './durable-directory.ts'
import { readFully, writeFully } from './hash-file.ts'
import type { LocalChunks } from './local-chunks.ts'
import { fileId } from './manifest.ts'
import { sha256 } from './sha256.ts'
import { TRANSFER } from './transfer-limits.ts'

/** Where received files go. */
export interface ReceivingContext {
  /** Directory of partial files. */
  partDir: string
  contents: ContentFiles
  durable: DurableDirectory
  /** Looks for chunks in other files before they are asked for. */
  local?: LocalChunks
  signal?: AbortSignal
}

/** A file on its way in. Only verified bytes are given to it. */
export interface ReceivingFile {
  /** Chunks that are already here: from an earlier transfer that was cut, or in other files. */
  present(): Promise<ReadonlySet<number>>
  /** Writes verified chunks that lie side by side; the last missing ones give the file its name. */
  write(first: number, count: number, bytes: Uint8Array): Promise<void>
  /** Releases what is open; what was written stays for the next transfer. */
  close(): Promise<void>
}

export function receiveFile(file: ManifestFile, context: ReceivingContext): ReceivingFile {
  return chunkCount(file) <= 1 ? new WholeFile(file, context) : new PartialFile(file, context)
}

/** A file of one chunk has nothing to resume: it is written at once. */
class WholeFile implements ReceivingFile {
  readonly #file: ManifestFile
  readonly #context: ReceivingContext

  constructor(file: ManifestFile, context: ReceivingContext) {
    this.#file = file
    this.#context = context
  }

  async present(): Promise<ReadonlySet<number>> {
    // No chunk, nothing to ask for: an empty file is made here.
    if (this.#file.size === 0) await this.write(0, 0, new Uint8Array(0))
    return new Set()
  }

  async write(_first: number, _count: number, bytes: Uint8Array): Promise<void> {
    const { contents, durable } = this.#context
    const temporary = await durable.writeTemporary(bytes, 0o444)
    await contents.adopt(temporary, fileId(this.#file))
  }

  async close(): Promise<void> {}
}

/**
 * `part/<file id>.part` with the bytes and `.have` with the indexes of its verified chunks (uint32,
 * appended after the write). After a power cut `.have` may promise what the disk never got, so what
 * it names is hashed again before it counts.
 */
class PartialFile implements ReceivingFile {
  readonly #file: ManifestFile
  readonly #context: ReceivingContext
  readonly #part: string
  readonly #have: string
  readonly #done = new Set<number>()
  #unsynced = 0
  #syncing: Promise<void> | undefined
  #open: Promise<{ part: FileHandle; have: FileHandle }> | undefined

  constructor(file: ManifestFile, context: ReceivingContext) {
    this.#file = file
    this.#context = context
    this.#part = join(context.partDir, `${fileId(file)}.part`)
    this.#have = join(context.partDir, `${fileId(file)}.have`)
  }

  async present(): Promise<ReadonlySet<number>> {
    await this.#resume()
    const count = chunkCount(this.#file)
    const { local, signal } = this.#context
    if (this.#done.size < count && local !== undefined) {
      const target = async () => (await this.#opened()).part
      await this.#record(await local.fill(this.#file, this.#done, target, signal))
    }
    if (this.#done.size === count) await this.#finish()
    return this.#done
  }

  /** Counts what an earlier transfer has left. */
  async #resume(): Promise<void> {
    const count = chunkCount(this.#file)
    const recorded = await stat(this.#have).catch(() => undefined)
    if (recorded === undefined || recorded.size > count * 4 * 4) {
      await this.#discard()
      return
    }
    const record = await readFile(this.#have)
    const claimed = new Set<number>()
    for (let at = 0; at + 4 <= record.length; at += 4) {
      const index = record.readUInt32LE(at)
      if (index < count) claimed.add(index)
    }
    const handle = await open(this.#part, 'r').catch(() => undefined)
    if (handle === undefined) return
    try {
      await concurrently(claimed, TRANSFER.chunksAtOnce, async (index) => {
        const bytes = Buffer.allocUnsafeSlow(chunkLength(this.#file, index))
        try {
          await readFully(handle, bytes, chunkOffset(this.#file, index))
        } catch {
          return
        }
        const hash = await sha256(bytes)
        if (Buffer.compare(hash, chunkHash(this.#file, index)) === 0) this.#done.add(index)
      })
    } finally {
      await handle.close()
    }
  }

  async write(first: number, count: number, bytes: Uint8Array): Promise<void> {
    const { part } = await this.#opened()
    await writeFully(part, bytes, chunkOffset(this.#file, first))
    await this.#record(Array.from({ length: count }, (_, index) => first + index))
    this.#syncBehind(part, bytes.length)
    if (this.#done.size === chunkCount(this.#file)) await this.#finish()
  }

  async close(): Promise<void> {
    const handles = await this.#open?.catch(() => undefined)
    this.#open = undefined
    await this.#syncing
    await Promise.all([handles?.part.close(), handles?.have.close()])
  }

  async #record(chunks: number[]): Promise<void> {
    if (chunks.length === 0) return
    const { have } = await this.#opened()
    const record = Buffer.alloc(chunks.length * 4)
    for (const [at, chunk] of chunks.entries()) record.writeUInt32LE(chunk, at * 4)
    await have.write(record)
    for (const chunk of chunks) this.#done.add(chunk)
  }

  #opened(): Promise<{ part: FileHandle; have: FileHandle }> {
    this.#open ??= this.#openBoth()
    return this.#open
  }

  async #openBoth(): Promise<{ part: FileHandle; have: FileHandle }> {
    const part = await open(this.#part, 'r+').catch(() => open(this.#part, 'wx+', 0o600))
    try {
      return { part, have: await open(this.#have, 'a', 0o600) }
    } catch (error) {
      await part.close()
      throw error
    }
  }

  /** Keeps the disk busy during the transfer, or the one sync at the end would wait for all of it. */
  #syncBehind(part: FileHandle, bytes: number): void {
    this.#unsynced += bytes
    if (this.#syncing !== undefined || this.#unsynced < TRANSFER.syncBytes) return
    this.#unsynced = 0
    this.#syncing = part
      .datasync()
      // The sync at the end tells what is wrong with the disk.
      .catch(() => undefined)
      .finally(() => {
        this.#syncing = undefined
      })
  }

  async #finish(): Promise<void> {
    const part = (await this.#open)?.part ?? (await open(this.#part, 'r'))
    try {
      await seal(part, 0o444)
    } finally {
      if (this.#open === undefined) await part.close()
      else await this.close()
    }
    await this.#context.contents.adopt(this.#part, fileId(this.#file))
    await rm(this.#have, { force: true })
  }

  async #discard(): Promise<void> {
    await Promise.all([rm(this.#part, { force: true }), rm(this.#have, { force: true })])
  }
}
