/**
 * The disks of one machine. The host's kernel never mounts any of them: they are made by `mkfs.ext4` in
 * user space, and what a task wrote comes back through the guest.
 */
import { lstat, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { runProgram } from './programs.ts'

const BLOCK = 4096
const MIB = 1024 ** 2
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
 * An empty disk for /out, owned by the sandbox's user. It is a little larger than the quota, so that what
 * exceeds it is seen and not only refused.
 */
export async function makeOutputDisk(
  path: string,
  diskBytes: number,
  user: number,
  options: { signal: AbortSignal },
): Promise<void> {
  const size = Math.ceil(diskBytes * 1.04) + 6 * MIB
  const owner = `root_owner=${user}:${user}`
  await makeDisk(path, size, ['-E', `lazy_itable_init=1,nodiscard,${owner}`], options.signal)
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
