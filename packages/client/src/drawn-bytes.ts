/** Bytes from a source of numbers of 0 to 1: the same for the same numbers. */
export function drawnBytes(random: () => number, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)))
}
