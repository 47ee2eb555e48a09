// Writes an RGB picture as a PNG whose pixels are stored, not compressed: the format allows it, and
// whoever collects the frames compresses them better.

const table = new StaticArray<u32>(256)
for (let index: u32 = 0; index < 256; index++) {
  let value = index
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >> 1) : value >> 1
  table[index] = value
}

const STORED_MAX: u32 = 65535

let at: usize = 0

function put8(value: u32): void {
  store<u8>(at, <u8>value)
  at += 1
}

function put32(value: u32): void {
  store<u32>(at, bswap<u32>(value))
  at += 4
}

/** Begins a chunk; where its type begins, which its checksum covers. */
function beginChunk(length: u32, type: u32): usize {
  put32(length)
  const start = at
  put32(type)
  return start
}

function endChunk(start: usize): void {
  let crc: u32 = 0xffffffff
  for (let byte = start; byte < at; byte++) crc = table[(crc ^ load<u8>(byte)) & 0xff] ^ (crc >> 8)
  put32(~crc)
}

function adler32(from: usize, length: u32): u32 {
  let a: u32 = 1
  let b: u32 = 0
  for (let index: u32 = 0; index < length; index++) {
    a = (a + load<u8>(from + index)) % 65521
    b = (b + a) % 65521
  }
  return (b << 16) | a
}

export class Png {
  constructor(public from: usize, public length: u32) {}
}

/** @param rgb three bytes a pixel, rows from the top */
export function encodePng(rgb: usize, width: u32, height: u32): Png {
  const row: u32 = 1 + 3 * width
  const raw: u32 = row * height
  const rows = heap.alloc(raw)
  for (let y: u32 = 0; y < height; y++) {
    store<u8>(rows + y * row, 0)
    memory.copy(rows + y * row + 1, rgb + y * 3 * width, 3 * width)
  }
  const blocks: u32 = (raw + STORED_MAX - 1) / STORED_MAX
  const zlib: u32 = 2 + 5 * blocks + raw + 4
  const length: u32 = 8 + (12 + 13) + (12 + zlib) + 12
  const from = heap.alloc(length)
  at = from
  put32(0x89504e47)
  put32(0x0d0a1a0a)

  const header = beginChunk(13, 0x49484452)
  put32(width)
  put32(height)
  put8(8)
  put8(2)
  put8(0)
  put8(0)
  put8(0)
  endChunk(header)

  const data = beginChunk(zlib, 0x49444154)
  put8(0x78)
  put8(0x01)
  for (let done: u32 = 0; done < raw; done += STORED_MAX) {
    const size: u32 = min<u32>(STORED_MAX, raw - done)
    put8(done + size == raw ? 1 : 0)
    store<u16>(at, <u16>size)
    store<u16>(at + 2, <u16>~size)
    at += 4
    memory.copy(at, rows + done, size)
    at += size
  }
  put32(adler32(rows, raw))
  endChunk(data)
  endChunk(beginChunk(0, 0x49454e44))
  return new Png(from, length)
}
