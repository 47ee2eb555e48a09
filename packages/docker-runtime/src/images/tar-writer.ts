import { TAR_BLOCK } from './tar-header.ts'

const OCTAL_MAX = 8 ** 11 - 1

/**
 * A header of a plain file, owned by root and without a time.
 *
 * @param name - ASCII, at most 100 bytes
 */
export function tarHeader(name: string, size: number): Uint8Array {
  const block = Buffer.alloc(TAR_BLOCK)
  const octal = (value: number, at: number, length: number) =>
    block.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at, 'latin1')
  block.write(name, 0, 100, 'latin1')
  octal(0o644, 100, 8)
  octal(0, 108, 8)
  octal(0, 116, 8)
  if (size <= OCTAL_MAX) octal(size, 124, 12)
  else {
    block[124] = 0x80
    block.writeBigUInt64BE(BigInt(size), 128)
  }
  octal(0, 136, 12)
  block.fill(' ', 148, 156)
  block.write('0', 156, 'latin1')
  block.write('ustar\x0000', 257, 'latin1')
  octal(
    block.reduce((sum, byte) => sum + byte, 0),
    148,
    7,
  )
  return block
}
