/**
 * The disks of one machine. The host's kernel never mounts any of them: they are made by `mkfs.ext4` in
 * user space, and what a task wrote comes back through the guest.
 */
import { lstat, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runProgram } from './programs.ts'

const BLOCK = 4096
const MIB = 1024 ** 2
/** Where mke2fs has an entry for so many bytes, and the number of the first one: 11 is lost+found. */
const BYTES_PER_INODE = 16_384
const FIRST_INODE = 12
/** What debugfs may repeat of its commands. */
const ECHO_BYTES = 4 * MIB
const FEATURES = '^has_journal,^resize_inode,^metadata_csum'

/** A disk with a copy of a directory. */
export async function makeInputDisk(
  path: string,
  directory: string,
  options: { signal: AbortSignal },
): Promise<void> {
  const { bytes, entries } = await measure(directory)
  // The file is sparse: what is too much costs nothing.
  const size = Math.ceil(bytes * 1.05) + entries * 2 * BLOCK + 16 * MIB
  await makeDisk(path, size, ['-N', `${entries + 64}`, '-d', directory], options.signal)
  // Every new file system has this directory; a task would find an input that nobody gave it.
  await runProgram('debugfs', ['-w', '-R', 'rmdir lost+found', path], options)
}

/**
 * A disk for /out, owned by the sandbox's user, with a copy of what a directory has. It is a little larger than
 * the quota, so that what exceeds it is seen and not only refused.
 */
export async function makeOutputDisk(
  path: string,
  diskBytes: number,
  user: number,
  options: { directory: string; signal: AbortSignal },
): Promise<void> {
  const { directory, signal } = options
  const size = Math.ceil(diskBytes * 1.04) + 6 * MIB
  const extended = ['-E', `lazy_itable_init=1,nodiscard,root_owner=${user}:${user}`]
  const { entries } = await measure(directory)
  if (entries === 1) return await makeDisk(path, size, extended, signal)
  const inodes = Math.max(2 * entries + 1024, Math.floor(size / BYTES_PER_INODE))
  await makeDisk(path, size, [...extended, '-N', `${inodes}`, '-d', directory], signal)
  await giveTo(user, path, entries - 1, signal)
}

/**
 * What was copied belongs to whoever runs this host. Entries are named by their numbers, which a new file system
 * gives in order: their names are those of peers, and debugfs would read more than a name in them.
 */
async function giveTo(
  user: number,
  path: string,
  entries: number,
  signal: AbortSignal,
): Promise<void> {
  const words = `${path}.owners`
  const commands = Array.from({ length: entries }, (_, n) =>
    ['uid', 'gid'].map((field) => `sif <${FIRST_INODE + n}> ${field} ${user}\n`).join(''),
  )
  try {
    await writeFile(words, commands.join(''))
    await runProgram('debugfs', ['-w', '-f', words, path], { signal, maxBytes: ECHO_BYTES })
  } finally {
    await rm(words, { force: true })
  }
}

async function makeDisk(
  path: string,
  size: number,
  args: string[],
  signal: AbortSignal,
): Promise<void> {
  const blocks = Math.ceil(size / BLOCK)
  const common = ['-q', '-F', '-m', '0', '-b', `${BLOCK}`, '-I', '256', '-O', FEATURES]
  try {
    await runProgram('mkfs.ext4', [...common, ...args, path, `${blocks}`], { signal })
  } catch (error) {
    await rm(path, { force: true })
    throw error
  }
}

async function measure(directory: string): Promise<{ bytes: number; entries: number }> {
  let bytes = 0
  let entries = 1
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const { size } = await lstat(join(entry.parentPath, entry.name))
    bytes += Math.ceil(size / BLOCK) * BLOCK
    entries += 1
  }
  return { bytes, entries }
}
