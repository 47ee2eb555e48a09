import { ManyhandsError } from '../errors.ts'
import { LIMITS } from '../limits.ts'
import { encodeDocument } from '../wire/codec.ts'
import type { Manifest, ManifestFile } from './artifact-store.ts'
import { ITEMS_PER_TURN, type Work } from './turns.ts'

/** CBOR's major types, RFC 8949 section 3.1. */
const MAJOR = { unsigned: 0, bytes: 2, text: 3, array: 4, map: 5 } as const
const FALSE = 0xf4
const TRUE = 0xf5
const NAMES = ['an integer', 'a negative integer', 'bytes', 'a text', 'an array', 'a map']

/** The same bytes as `encodeDocument`, which would do it without an interruption. @throws LIMIT */
export function* writeManifest({ v, kind, files, directories }: Manifest): Work<Uint8Array> {
  const pieces: Uint8Array[] = []
  let length = 0
  const push = (bytes: Uint8Array) => {
    pieces.push(bytes)
    length += bytes.length
    if (length <= LIMITS.manifestBytes) return
    throw new ManyhandsError('LIMIT', `a manifest of more than ${LIMITS.manifestBytes} bytes`)
  }
  push(encodeHead(MAJOR.map, 4))
  for (const value of ['v', v, 'kind', kind]) push(encodeDocument(value))
  for (const [name, entries] of Object.entries({ files, directories })) {
    push(encodeDocument(name))
    push(encodeHead(MAJOR.array, entries.length))
    for (const [index, entry] of entries.entries()) {
      push(encodeDocument(entry))
      if (index % ITEMS_PER_TURN === 0) yield
    }
  }
  return new Uint8Array(Buffer.concat(pieces))
}

/**
 * Reads a manifest that must be exactly what {@link writeManifest} writes. Nothing is built of what is
 * of another shape, so that what is refused costs no more than the bytes up to there.
 *
 * @throws PROTOCOL, LIMIT (more entries than an artifact may have)
 */
export function* parseManifest(bytes: Uint8Array): Work<Manifest> {
  const cursor = new Cursor(bytes)
  cursor.exactly(MAJOR.map, 4, 'a manifest')
  cursor.key('v')
  cursor.exactly(MAJOR.unsigned, 2, 'v, the version')
  cursor.key('kind')
  const kind = cursor.text('kind', 4)
  if (kind !== 'tree' && kind !== 'file') throw refusal('kind is neither tree nor file')
  cursor.key('files')
  const files: ManifestFile[] = []
  const fileCount = countOf(cursor, 'files', 0)
  while (files.length < fileCount) {
    files.push(parseFile(cursor))
    if (files.length % ITEMS_PER_TURN === 0) yield
  }
  cursor.key('directories')
  const directories: string[] = []
  const directoryCount = countOf(cursor, 'directories', fileCount)
  while (directories.length < directoryCount) {
    directories.push(cursor.text('a path', LIMITS.pathBytes))
    if (directories.length % ITEMS_PER_TURN === 0) yield
  }
  cursor.end()
  return { v: 2, kind, files, directories }
}

function countOf(cursor: Cursor, what: string, already: number): number {
  const count = cursor.head(MAJOR.array, what)
  if (already + count <= LIMITS.entriesPerArtifact) return count
  throw new ManyhandsError('LIMIT', `manifest: more than ${LIMITS.entriesPerArtifact} files`)
}

function parseFile(cursor: Cursor): ManifestFile {
  const fields = cursor.head(MAJOR.map, 'a file')
  if (fields !== 4 && fields !== 5) throw refusal(`a file of ${fields} fields`)
  cursor.key('path')
  const path = cursor.text('a path', LIMITS.pathBytes)
  cursor.key('size')
  const size = cursor.head(MAJOR.unsigned, 'a size')
  cursor.key('chunks')
  const chunks = cursor.bytes('chunks')
  if (fields === 5) cursor.key('lengths')
  const lengths = fields === 5 ? cursor.bytes('lengths') : undefined
  cursor.key('executable')
  const executable = cursor.flag('executable')
  return lengths === undefined
    ? { path, size, executable, chunks }
    : { path, size, executable, chunks, lengths }
}

/** Where a reader of CBOR is. Every value has one form only: the shortest. */
class Cursor {
  readonly #buffer: Buffer
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  /** The number that follows a major type: a value, a length or a count. */
  head(major: number, what: string): number {
    const first = this.#take(1, what)
    const initial = this.#bytes[first]!
    if (initial >> 5 !== major) throw refusal(`${what} is not ${NAMES[major]}`)
    const info = initial & 31
    if (info < 24) return info
    if (info > 27) throw refusal(`${what} has no definite number`)
    const width = 1 << (info - 24)
    const at = this.#take(width, what)
    const number =
      width === 8
        ? this.#buffer.readUInt32BE(at) * 2 ** 32 + this.#buffer.readUInt32BE(at + 4)
        : this.#buffer.readUIntBE(at, width)
    if (!Number.isSafeInteger(number)) throw refusal(`${what} is beyond what can be counted`)
    const least = width === 1 ? 24 : 2 ** (4 * width)
    if (number < least) throw refusal(`${what} is not in its shortest form`)
    return number
  }

  exactly(major: number, number: number, what: string): void {
    const found = this.head(major, what)
    if (found !== number) throw refusal(`${what} is ${found} and not ${number}`)
  }

  text(what: string, most: number): string {
    const length = this.head(MAJOR.text, what)
    if (length > most) throw refusal(`${what} of more than ${most} bytes`)
    const at = this.#take(length, what)
    return this.#buffer.toString('utf8', at, at + length)
  }

  bytes(what: string): Uint8Array {
    const at = this.#take(this.head(MAJOR.bytes, what), what)
    // A copy: whoever keeps one file, or gives it to a thread, is not to have the whole manifest.
    return this.#bytes.slice(at, this.#at)
  }

  flag(what: string): boolean {
    const value = this.#bytes[this.#take(1, what)]!
    if (value !== TRUE && value !== FALSE) throw refusal(`${what} is neither true nor false`)
    return value === TRUE
  }

  key(name: string): void {
    const length = this.head(MAJOR.text, `the key ${name}`)
    const at = this.#take(length, `the key ${name}`)
    if (length === name.length && this.#buffer.toString('latin1', at, this.#at) === name) return
    throw refusal(`another key where ${name} should be`)
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw refusal('something follows its end')
  }

  #take(length: number, what: string): number {
    const at = this.#at
    if (length > this.#bytes.length - at) throw refusal(`it ends within ${what}`)
    this.#at += length
    return at
  }
}

function encodeHead(major: number, number: number): Uint8Array {
  // A number's own encoding is its head, of major type 0.
  const head = encodeDocument(number)
  head[0]! |= major << 5
  return head
}

function refusal(message: string): ManyhandsError {
  return new ManyhandsError('PROTOCOL', `manifest: ${message}`)
}
