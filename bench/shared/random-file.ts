import { randomFillSync } from 'node:crypto'
import { mkdir, open } from 'node:fs/promises'
import { join } from 'node:path'

const PIECE_BYTES = 4 * 1024 ** 2

/** A new file that nothing can be saved on: neither compressed nor found elsewhere. */
export async function writeRandomFile(path: string, bytes: number): Promise<void> {
  await using file = await open(path, 'wx')
  const buffer = Buffer.allocUnsafe(Math.min(bytes, PIECE_BYTES))
  for (let done = 0; done < bytes; ) {
    const piece = randomFillSync(buffer).subarray(0, bytes - done)
    done += (await file.write(piece)).bytesWritten
  }
}

/** A new directory of such files. */
export async function writeRandomTree(
  path: string,
  { files, bytes }: { files: number; bytes: number },
): Promise<void> {
  await mkdir(path)
  for (let index = 0; index < files; index += 1) {
    await writeRandomFile(join(path, `${index}.bin`), bytes)
  }
}
