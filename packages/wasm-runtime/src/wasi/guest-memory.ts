import { WASM_LIMITS } from '../wasm-limits.ts'
import { WasiError } from './errno.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * The module's memory as the system sees it. Every pointer and length comes from the module: each
 * access is checked against the memory as it is now, and answered FAULT when it lies outside.
 */
export class GuestMemory {
  readonly #memory: WebAssembly.Memory | undefined
  #view = new DataView(new ArrayBuffer(0))
  #bytes = new Uint8Array(0)

  constructor(memory: WebAssembly.Memory | undefined) {
    this.#memory = memory
  }

  get byteLength(): number {
    return this.#memory?.buffer.byteLength ?? 0
  }

  /** The module's own bytes, not a copy; valid until the module runs again. */
  bytes(pointer: number, length: number): Uint8Array {
    this.#refresh()
    const start = pointer >>> 0
    const size = length >>> 0
    if (start + size > this.#bytes.length) throw new WasiError('FAULT')
    return this.#bytes.subarray(start, start + size)
  }

  /** A name or path: UTF-8 of at most `limit` bytes. */
  text(pointer: number, length: number, limit: number): string {
    if (length >>> 0 > limit) throw new WasiError('NAMETOOLONG')
    try {
      return decoder.decode(this.bytes(pointer, length))
    } catch (error) {
      throw error instanceof WasiError ? error : new WasiError('ILSEQ')
    }
  }

  /** The buffers of a scattered read or write. */
  vectors(pointer: number, count: number): Uint8Array[] {
    if (count >>> 0 > WASM_LIMITS.vectors) throw new WasiError('INVAL')
    const table = this.#at(pointer, 8 * count)
    const out: Uint8Array[] = []
    for (let index = 0; index < count; index += 1) {
      const entry = table + 8 * index
      out.push(this.bytes(this.#view.getUint32(entry, true), this.#view.getUint32(entry + 4, true)))
    }
    return out
  }

  u8(pointer: number): number {
    return this.#viewOf(pointer, 1).getUint8(pointer >>> 0)
  }

  u16(pointer: number): number {
    return this.#viewOf(pointer, 2).getUint16(pointer >>> 0, true)
  }

  u32(pointer: number): number {
    return this.#viewOf(pointer, 4).getUint32(pointer >>> 0, true)
  }

  u64(pointer: number): bigint {
    return this.#viewOf(pointer, 8).getBigUint64(pointer >>> 0, true)
  }

  setU8(pointer: number, value: number): void {
    this.#viewOf(pointer, 1).setUint8(pointer >>> 0, value)
  }

  setU16(pointer: number, value: number): void {
    this.#viewOf(pointer, 2).setUint16(pointer >>> 0, value, true)
  }

  setU32(pointer: number, value: number): void {
    this.#viewOf(pointer, 4).setUint32(pointer >>> 0, value, true)
  }

  setU64(pointer: number, value: bigint): void {
    this.#viewOf(pointer, 8).setBigUint64(pointer >>> 0, value, true)
  }

  /** A table of pointers followed by zero-ended strings: how argv and the environment are handed over. */
  setStrings(table: number, buffer: number, strings: readonly Uint8Array[]): void {
    let at = buffer >>> 0
    for (const [index, string] of strings.entries()) {
      this.setU32((table >>> 0) + 4 * index, at)
      this.bytes(at, string.length).set(string)
      this.setU8(at + string.length, 0)
      at += string.length + 1
    }
  }

  /** The view is only good after the check, which follows a memory that has grown. */
  #viewOf(pointer: number, length: number): DataView<ArrayBuffer> {
    this.#at(pointer, length)
    return this.#view
  }

  #at(pointer: number, length: number): number {
    this.#refresh()
    const start = pointer >>> 0
    if (start + length > this.#bytes.length) throw new WasiError('FAULT')
    return start
  }

  #refresh(): void {
    const buffer = this.#memory?.buffer
    // A memory that has grown has another buffer; the old one is detached.
    if (buffer !== undefined && buffer !== this.#view.buffer) {
      this.#view = new DataView(buffer)
      this.#bytes = new Uint8Array(buffer)
    }
  }
}

export const encodeStrings = (strings: readonly string[]): Uint8Array[] =>
  strings.map((string) => encoder.encode(string))
