import { open, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { systemProgram } from './system-program.ts'
import { isMounted } from './volume-use.ts'

const MIB = 1024 ** 2
const BLOCK = 4096
const INODE = 256
const FULL_TRIES = 10

/**
 * The size of an image whose files may take `diskBytes` and a little more: whoever is at the quota has
 * not run into a full disk yet, and whoever runs into it is over the quota.
 */
export function imageBytes(diskBytes: number): number {
  const slack = Math.min(64 * MIB, Math.max(MIB, diskBytes / 64))
  // The kernel keeps 2 % back for itself, 4,096 blocks at most.
  const kept = Math.min(4096 * BLOCK, (diskBytes + slack) / 40)
  const data = diskBytes + slack + kept
  // Besides the tables of files, bitmaps and copies of the head: a part in 1,000, and 1 MiB.
  const whole = data / (1 - INODE / bytesPerFile(diskBytes) - 0.001) + MIB
  return Math.ceil(whole / BLOCK) * BLOCK
}

/** One file for so many bytes: many small ones in a small volume. */
function bytesPerFile(diskBytes: number): number {
  return diskBytes < 512 * MIB ? 4096 : 16_384
}

/**
 * Makes a sparse image file with an empty ext4 file system.
 *
 * @throws RUNTIME_FAILED
 */
export async function makeImage(image: string, diskBytes: number): Promise<void> {
  const file = await open(image, 'w', 0o600)
  try {
    await file.truncate(imageBytes(diskBytes))
  } finally {
    await file.close()
  }
  // Without a journal: an attempt does not outlive its machine, and its files need not.
  await systemProgram('mkfs.ext4', [
    ...['-q', '-F', '-m', '0', '-b', `${BLOCK}`, '-I', `${INODE}`],
    ...['-i', `${bytesPerFile(diskBytes)}`, '-O', '^has_journal,^resize_inode'],
    ...['-E', 'lazy_itable_init=1,nodiscard', image],
  ])
}

/**
 * Mounts an image over a directory. The loop device frees itself with the last unmount.
 *
 * @throws RUNTIME_FAILED; nothing is mounted then
 */
export async function mountImage(image: string, directory: string): Promise<void> {
  // What is removed is given back: a warm sandbox that rests has promised no disk to itself.
  const options = 'loop,nosuid,nodev,noatime,discard,errors=remount-ro'
  await systemProgram('mount', ['-t', 'ext4', '-o', options, image, directory])
  // A task's outputs are what it wrote, and nothing else.
  await rmdir(join(directory, 'lost+found')).catch(() => {})
}

/** Unmounts whatever is mounted over a directory. One that is still in use goes as soon as it is not. */
export async function unmount(directory: string): Promise<void> {
  for (let tries = 0; await isMounted(directory).catch(() => false); tries += 1) {
    try {
      await systemProgram('umount', tries < FULL_TRIES ? [directory] : ['--lazy', directory])
    } catch (error) {
      if (tries > FULL_TRIES) throw error
      await delay(50, undefined, { ref: false })
    }
  }
}
