import { ManyhandsError } from '@manyhands/core'
import { IMAGE_LIMITS } from './image-limits.ts'
import { applyExtended, type ExtendedHeader, extendedRecords } from './tar-extended.ts'
import { isZeroBlock, readHeader, TAR_BLOCK, type TarHeader } from './tar-header.ts'

/** What a scanner sees in an archive, in order. */
export type TarEvent =
  | { kind: 'entry'; entry: TarHeader }
  /** A piece of the body of the last entry; only valid until the next piece is asked for. */
  | { kind: 'body'; bytes: Uint8Array }
  /** The body of the last entry is complete. */
  | { kind: 'end' }

export interface TarLimits {
  /** For messages. */
  what: string
  entries: number
}

/**
 * Reads a tar archive as it passes by, in constant memory: headers are checked, bodies are cut. It
 * unpacks nothing and opens nothing. It reads sizes exactly as the engines' own reader does, so that
 * nothing can lie between two entries as we see them; what expands (sparse files) or is not known is
 * refused.
 */
export class TarScanner {
  readonly #limits: TarLimits
  /** Bytes of a block that has not come whole. */
  readonly #block = new Uint8Array(TAR_BLOCK)
  #filled = 0
  #state: 'header' | 'body' | 'padding' | 'extended' | 'trailer' = 'header'
  #left = 0
  #padding = 0
  #entries = 0
  #zeroBlocks = 0
  #extended: { kind: ExtendedHeader['kind']; bytes: Uint8Array; filled: number } | undefined
  #overrides: ExtendedHeader[] = []

  constructor(limits: TarLimits) {
    this.#limits = limits
  }

  /** Takes the next piece of the archive. @throws IMAGE_INVALID */
  *push(chunk: Uint8Array): Generator<TarEvent> {
    let at = 0
    while (at < chunk.length) {
      if (this.#state === 'trailer') return
      if (this.#state === 'header') {
        at = this.#collect(chunk, at)
        if (this.#filled === TAR_BLOCK) {
          this.#filled = 0
          yield* this.#header(this.#block)
        }
        continue
      }
      const piece = chunk.subarray(at, at + this.#left)
      at += piece.length
      this.#left -= piece.length
      if (this.#state === 'body') yield { kind: 'body', bytes: piece }
      else if (this.#state === 'extended') this.#extend(piece)
      if (this.#left === 0) yield* this.#sectionEnd()
    }
  }

  /** The archive has come whole. @throws IMAGE_INVALID when it was cut */
  finish(): void {
    if (this.#state === 'trailer') return
    // The engines' reader takes an end between two entries for the end of the archive.
    if (this.#state === 'header' && this.#filled === 0 && this.#overrides.length === 0) return
    throw this.#refuse('was cut')
  }

  /** Whether the end of the archive was seen; what comes after it is nobody's business. */
  get ended(): boolean {
    return this.#state === 'trailer'
  }

  #collect(chunk: Uint8Array, at: number): number {
    const piece = chunk.subarray(at, at + TAR_BLOCK - this.#filled)
    this.#block.set(piece, this.#filled)
    this.#filled += piece.length
    return at + piece.length
  }

  *#header(block: Uint8Array): Generator<TarEvent> {
    if (isZeroBlock(block)) {
      this.#zeroBlocks += 1
      if (this.#zeroBlocks === 2) this.#state = 'trailer'
      return
    }
    if (this.#zeroBlocks > 0) throw this.#refuse('goes on after a block of zeros')
    const header = readHeader(block, (why) => this.#refuse(why))
    this.#entries += 1
    if (this.#entries > this.#limits.entries) {
      throw this.#refuse(`has more than ${this.#limits.entries} entries`)
    }
    if (header.type === 'extended' || header.type === 'global' || header.type.startsWith('long')) {
      this.#beginExtended(header)
      return
    }
    const entry = applyExtended(header, this.#overrides, (why) => this.#refuse(why))
    this.#overrides = []
    yield { kind: 'entry', entry }
    this.#state = 'body'
    this.#left = entry.size
    this.#padding = paddingOf(entry.size)
    if (entry.size === 0) yield* this.#sectionEnd()
  }

  #beginExtended(header: TarHeader): void {
    // Readers disagree whether what was said before still holds for the entry after it.
    if (header.type === 'global' && this.#overrides.length > 0) {
      throw this.#refuse('has a global header between an extended one and its entry')
    }
    if (header.size > IMAGE_LIMITS.extendedHeaderBytes) {
      throw this.#refuse(`has an extended header of ${header.size} bytes`)
    }
    this.#extended = {
      kind: header.type as ExtendedHeader['kind'],
      bytes: new Uint8Array(header.size),
      filled: 0,
    }
    this.#state = 'extended'
    this.#left = header.size
    this.#padding = paddingOf(header.size)
    if (header.size === 0) for (const event of this.#sectionEnd()) void event
  }

  #extend(piece: Uint8Array): void {
    const extended = this.#extended!
    extended.bytes.set(piece, extended.filled)
    extended.filled += piece.length
  }

  *#sectionEnd(): Generator<TarEvent> {
    if (this.#state === 'body') yield { kind: 'end' }
    if (this.#state === 'extended') {
      const { kind, bytes } = this.#extended!
      this.#extended = undefined
      const records = extendedRecords(kind, bytes, (why) => this.#refuse(why))
      // As the engines' reader does: of several of one kind the last one counts.
      if (records !== undefined) {
        this.#overrides = [...this.#overrides.filter((known) => known.kind !== kind), records]
      }
    }
    const padded = this.#state !== 'padding' && this.#padding > 0
    this.#state = padded ? 'padding' : 'header'
    this.#left = padded ? this.#padding : 0
  }

  #refuse(why: string): ManyhandsError {
    return new ManyhandsError('IMAGE_INVALID', `${this.#limits.what} ${why}`)
  }
}

function paddingOf(size: number): number {
  return (TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK
}
