import { closeSync, constants, openSync, writeSync } from 'node:fs'
import { TRANSFER } from '../artifacts/transfer-limits.ts'

/** What places in a file and in memory are multiples of when bytes go past the page cache. */
export const DIRECT_ALIGNMENT = 4096
const PAGE_OF_WEB_ASSEMBLY = 64 * 1024

/**
 * Memory that begins at a multiple of {@link DIRECT_ALIGNMENT}: that of WebAssembly does. Where there is not
 * enough address space for it, it is ordinary memory, and bytes of it are written in the ordinary way.
 */
export function alignedMemory(bytes: number): Uint8Array {
  const pages = Math.ceil(bytes / PAGE_OF_WEB_ASSEMBLY)
  try {
    return new Uint8Array(new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer)
  } catch {
    return new Uint8Array(bytes)
  }
}

/** Writes into a file that exists, and waits for it on the thread. */
export interface FileWriter {
  write(bytes: Uint8Array, position: number): void
  close(): void
}

/**
 * Past the page cache, a large file costs a third less of the processor, does not push out what the
 * machine's owner uses, and is on the disk when the write ends. Where a file system cannot, or for the
 * bytes around the aligned ones, it is an ordinary write.
 *
 * @param direct - whether to try
 */
export function fileWriter(path: string, direct: boolean): FileWriter {
  const fd = openSync(path, 'r+')
  let past = direct ? openDirect(path) : undefined
  const buffered = (bytes: Uint8Array, position: number) =>
    writeAll(fd, bytes, position, TRANSFER.writeBytes)
  const closePast = () => {
    if (past !== undefined) closeSync(past)
    past = undefined
  }
  return {
    write: (bytes, position) => {
      const from = -position & (DIRECT_ALIGNMENT - 1)
      const length = (bytes.length - from) & -DIRECT_ALIGNMENT
      if (past === undefined || length <= 0) return buffered(bytes, position)
      buffered(bytes.subarray(0, from), position)
      try {
        writeAll(past, bytes.subarray(from, from + length), position + from, length)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error
        closePast()
        return buffered(bytes.subarray(from), position + from)
      }
      buffered(bytes.subarray(from + length), position + from + length)
    },
    close: () => {
      closePast()
      closeSync(fd)
    },
  }
}

function openDirect(path: string): number | undefined {
  // Not on every system.
  if (constants.O_DIRECT === undefined) return undefined
  try {
    return openSync(path, constants.O_WRONLY | constants.O_DIRECT)
  } catch {
    return undefined
  }
}

function writeAll(fd: number, bytes: Uint8Array, position: number, most: number): void {
  for (let done = 0; done < bytes.length; ) {
    const length = Math.min(most, bytes.length - done)
    done += writeSync(fd, bytes, done, length, position + done)
  }
}
