import { open, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ManifestFile } from './artifact-store.ts'
import { chunkCount, chunkHash, chunkLength, chunkOffset } from './chunk-layout.ts'
import { ChunkRecord } from './chunk-record.ts'
import { concurrently } from './concurrently.ts'
import type { ContentFiles } from './content-files.ts'
import { type DurableDirectory, seal } from './durable-directory.ts'
import { readFully } from './hash-file.ts'
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

/** A file on its way in. Lanes write its bytes, verified; it knows which are here. */
export interface ReceivingFile {
  /** Chunks that are already here: from an earlier transfer that was cut, or in other files. Called first. */
  present(): Promise<ReadonlySet<number>>
  /**
   * Where chunks are written: at their position of a file that exists, or, when there is a temporary
   * name, as a whole file that is made under one that begins so and gets its name when it is durable.
   */
  place(): { path: string; temporary?: string; direct?: boolean }
  /** Chunks that lie side by side were written; the last missing ones give the file its name. */
  written(first: number, count: number): Promise<void>
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
  readonly #path: string

  constructor(file: ManifestFile, context: ReceivingContext) {
    this.#file = file
    this.#context = context
    this.#path = context.contents.path(fileId(file))
  }

  async present(): Promise<ReadonlySet<number>> {
    const { durable } = this.#context
    await durable.prepare(this.#path)
    // No chunk, nothing to ask for: an empty file is made here.
    if (this.#file.size === 0) {
      await durable.adopt(await durable.writeTemporary(new Uint8Array(0), 0o444), this.#path)
    }
    return new Set()
  }

  place(): { path: string; temporary: string } {
    return { path: this.#path, temporary: this.#context.durable.temporaryPath() }
  }

  async written(): Promise<void> {
    this.#context.durable.named(this.#path)
  }

  async close(): Promise<void> {}
}

/**
 * `part/<file id>.part` with the bytes and `.have` with the indexes of its verified chunks, written after
 * the write. After a power cut `.have` may promise what the disk never got, so what it names is hashed
 * again before it counts.
 */
class PartialFile implements ReceivingFile {
  readonly #file: ManifestFile
  readonly #context: ReceivingContext
  readonly #part: string
  readonly #record: ChunkRecord
  readonly #done = new Set<number>()
  #unsynced = 0
  #syncing: Promise<void> | undefined

  constructor(file: ManifestFile, context: ReceivingContext) {
    this.#file = file
    this.#context = context
    this.#part = join(context.partDir, `${fileId(file)}.part`)
    this.#record = new ChunkRecord(join(context.partDir, `${fileId(file)}.have`))
  }

  async present(): Promise<ReadonlySet<number>> {
    await this.#resume()
    const count = chunkCount(this.#file)
    const { local, signal } = this.#context
    if (this.#done.size < count && local !== undefined) {
      await using part = await open(this.#part, 'r+')
      this.#add(await local.fill(this.#file, this.#done, async () => part, signal))
    }
    if (this.#done.size === count) await this.#finish()
    return this.#done
  }

  /** Counts what an earlier transfer has left. */
  async #resume(): Promise<void> {
    const claimed = await this.#record.read(chunkCount(this.#file))
    if (claimed === undefined) {
      await this.#begin()
      return
    }
    const handle = await open(this.#part, 'r').catch(() => undefined)
    if (handle === undefined) {
      await this.#begin()
      return
    }
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

  place(): { path: string; direct: boolean } {
    return { path: this.#part, direct: this.#file.size >= TRANSFER.directBytes }
  }

  async written(first: number, count: number): Promise<void> {
    this.#add(Array.from({ length: count }, (_, index) => first + index))
    const end = chunkOffset(this.#file, first + count)
    this.#syncBehind(end - chunkOffset(this.#file, first))
    if (this.#done.size === chunkCount(this.#file)) await this.#finish()
  }

  #add(chunks: number[]): void {
    for (const chunk of chunks) this.#done.add(chunk)
    // The last ones give the file its name: then there is nothing to record.
    if (this.#done.size < chunkCount(this.#file)) this.#record.add(chunks)
  }

  async close(): Promise<void> {
    await this.#record.flush()
    await this.#syncing
  }

  /** Keeps the disk busy during the transfer, or the one sync at the end would wait for all of it. */
  #syncBehind(bytes: number): void {
    this.#unsynced += bytes
    if (this.#syncing !== undefined || this.#unsynced < TRANSFER.syncBytes) return
    this.#unsynced = 0
    this.#syncing = this.#sync()
      // The sync at the end tells what is wrong with the disk.
      .catch(() => undefined)
      .finally(() => {
        this.#syncing = undefined
      })
  }

  async #sync(): Promise<void> {
    await using part = await open(this.#part, 'r+')
    await part.datasync()
  }

  async #finish(): Promise<void> {
    await this.#syncing
    const part = await open(this.#part, 'r+')
    await seal(part, 0o444).finally(() => part.close())
    await this.#context.contents.adopt(this.#part, fileId(this.#file))
    await this.#record.remove()
  }

  /** An empty file, for lanes to write into. */
  async #begin(): Promise<void> {
    await this.#record.begin(chunkCount(this.#file))
    await writeFile(this.#part, '', { mode: 0o600 })
    await truncate(this.#part, this.#file.size)
  }
}
