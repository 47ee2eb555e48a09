import { type FileHandle, open } from 'node:fs/promises'
import { ManyhandsError } from '@manyhands/core'

export type ImageType = 'squashfs' | 'ext4' | 'erofs'

const HEAD_BYTES = 2048

/** Where each file system has its magic number. */
const MAGIC: readonly { type: ImageType; at: number; bytes: Buffer }[] = [
  { type: 'squashfs', at: 0, bytes: Buffer.from('hsqs') },
  { type: 'ext4', at: 1080, bytes: Buffer.from([0x53, 0xef]) },
  { type: 'erofs', at: 1024, bytes: Buffer.from([0xe2, 0xe1, 0xf5, 0xe0]) },
]

/** An image that is open: what is checked is what runs, whatever happens to its path. */
export interface RootImage {
  type: ImageType
  file: FileHandle
}

/** @throws IMAGE_NOT_FOUND, IMAGE_INVALID when the file holds no file system that a guest can mount */
export async function openRootImage(path: string): Promise<RootImage> {
  const file = await open(path, 'r').catch((cause: NodeJS.ErrnoException) => {
    const absent = cause.code === 'ENOENT' || cause.code === 'ENOTDIR'
    throw new ManyhandsError(
      absent ? 'IMAGE_NOT_FOUND' : 'IMAGE_INVALID',
      absent ? `there is no image at ${path}` : `${path} cannot be read: ${cause.message}`,
      { cause, hint: 'Name the path of a disk image: squashfs, ext4 or erofs.' },
    )
  })
  try {
    const stat = await file.stat()
    if (!stat.isFile()) throw invalid(`${path} is not a file`)
    const head = Buffer.alloc(HEAD_BYTES)
    await file.read(head, 0, HEAD_BYTES, 0)
    const found = MAGIC.find(({ at, bytes }) => head.subarray(at, at + bytes.length).equals(bytes))
    if (found === undefined) throw invalid(`${path} is no squashfs, ext4 or erofs image`)
    return { type: found.type, file }
  } catch (error) {
    await file.close()
    throw error
  }
}

function invalid(message: string): ManyhandsError {
  return new ManyhandsError('IMAGE_INVALID', message, {
    hint: 'Make one from a directory: mksquashfs DIRECTORY IMAGE -all-root',
  })
}
