import type { ManyhandsError } from '@manyhands/core'

export const TAR_BLOCK = 512

/** Kinds of entries, of which the last four say something about the next one. */
export type TarType =
  | 'file'
  | 'hard-link'
  | 'symbolic-link'
  | 'device'
  | 'directory'
  | 'fifo'
  | 'extended'
  | 'global'
  | 'long-name'
  | 'long-link'

/** One entry of an archive, as its header says. */
export interface TarHeader {
  name: string
  type: TarType
  /** Bytes of its body. */
  size: number
  linkName: string
}

const TYPES: Record<string, TarType> = {
  '\0': 'file',
  '0': 'file',
  '1': 'hard-link',
  '2': 'symbolic-link',
  '3': 'device',
  '4': 'device',
  '5': 'directory',
  '6': 'fifo',
  x: 'extended',
  g: 'global',
  L: 'long-name',
  K: 'long-link',
}

/** Kinds that have no body, whatever their header says of a size. */
const BODILESS: ReadonlySet<TarType> = new Set([
  'hard-link',
  'symbolic-link',
  'device',
  'directory',
  'fifo',
])

export type Refusal = (why: string) => ManyhandsError

export function isZeroBlock(block: Uint8Array): boolean {
  return block.every((byte) => byte === 0)
}

/** Reads one header block. @throws what `refuse` makes of a header that is none */
export function readHeader(block: Uint8Array, refuse: Refusal): TarHeader {
  if (!hasChecksum(block, refuse)) throw refuse('has a header with a wrong checksum')
  const flag = String.fromCharCode(block[156]!)
  const type = TYPES[flag]
  if (type === undefined) throw refuse(`has an entry of the kind ${JSON.stringify(flag)}`)
  const size = readNumber(block.subarray(124, 136), refuse)
  const prefix = hasPrefix(block) ? readText(block.subarray(345, 500)) : ''
  const own = readText(block.subarray(0, 100))
  const name = prefix === '' ? own : `${prefix}/${own}`
  // An old way to write a directory, of which readers disagree whether it has a body.
  if (flag === '\0' && own.endsWith('/') && size > 0) throw refuse('has a directory with a body')
  return {
    name,
    type,
    size: BODILESS.has(type) ? 0 : size,
    linkName: readText(block.subarray(157, 257)),
  }
}

/** A size that an extended header gives counts for kinds with a body alone. */
export function withSize(header: TarHeader, size: number): TarHeader {
  return BODILESS.has(header.type) ? header : { ...header, size }
}

function hasPrefix(block: Uint8Array): boolean {
  return readText(block.subarray(257, 263)) === 'ustar' && block[262] === 0
}

/** Both ways of adding bytes are taken, as some old programs add them with a sign. */
function hasChecksum(block: Uint8Array, refuse: Refusal): boolean {
  let unsigned = 0
  let signed = 0
  for (let index = 0; index < TAR_BLOCK; index++) {
    const byte = index >= 148 && index < 156 ? 0x20 : block[index]!
    unsigned += byte
    signed += byte > 127 ? byte - 256 : byte
  }
  const stated = readNumber(block.subarray(148, 156), refuse)
  return stated === unsigned || stated === signed
}

/** Octal digits between blanks, or a binary number with the first bit set. */
function readNumber(field: Uint8Array, refuse: Refusal): number {
  if ((field[0]! & 0x80) !== 0) {
    if ((field[0]! & 0x40) !== 0) throw refuse('has a negative size')
    let value = BigInt(field[0]! & 0x3f)
    for (const byte of field.subarray(1)) value = (value << 8n) | BigInt(byte)
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw refuse('has a size beyond counting')
    return Number(value)
  }
  const text = Buffer.from(field)
    .toString('latin1')
    .replace(/^[ \0]+|[ \0]+$/g, '')
    .replace(/\0.*$/s, '')
  if (text === '') return 0
  if (!/^[0-7]+$/.test(text)) throw refuse('has a number that is none')
  return Number.parseInt(text, 8)
}

function readText(field: Uint8Array): string {
  const end = field.indexOf(0)
  return Buffer.from(end < 0 ? field : field.subarray(0, end)).toString('utf8')
}
