import { createHash } from 'node:crypto'
import { chmod, chown, lstat, mkdir, readdir, rm, rmdir, statfs, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { getuid, platform } from 'node:process'
import { LIMITS, ManyhandsError } from '@manyhands/core'

/** Where Linux keeps files in memory for everybody. Swap aside, nothing there reaches a disk. */
const SHARED_MEMORY = '/dev/shm'
const TMPFS_MAGIC = 0x01021994
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/

/** Whether this computer has a place for files that are on no disk: looked at, not assumed. */
export async function canKeepSecrets(directory = SHARED_MEMORY): Promise<boolean> {
  if (platform !== 'linux') return false
  return statfs(directory).then(
    ({ type }) => type === TMPFS_MAGIC,
    () => false,
  )
}

/** The directory of all secrets of a host instance; its name can be found again after a restart. */
export function secretsRoot(hostInstance: string): string {
  const hash = createHash('sha256').update(hostInstance).digest('hex').slice(0, 24)
  return join(SHARED_MEMORY, `manyhands-${hash}`)
}

/**
 * Writes secrets as files into a directory that is made for them, in memory.
 *
 * @param user - who may read them, and nobody else: mode 0400, in a directory of mode 0500
 * @throws SPEC_INVALID for names that are none; UNSUPPORTED where the files would be on a disk;
 *   RUNTIME_FAILED when the place belongs to somebody else
 */
export async function writeSecrets(
  root: string,
  name: string,
  secrets: Record<string, Uint8Array>,
  user: { uid: number; gid: number },
): Promise<string> {
  checkSecrets(secrets)
  await openRoot(root)
  if (!(await canKeepSecrets(root))) {
    throw new ManyhandsError('UNSUPPORTED', `docker: ${root} is not in memory`)
  }
  const directory = join(root, name)
  await removeTree(directory)
  await mkdir(directory, { mode: 0o700 }).catch(async () => {
    // The last of the others has just gone, and the root with it.
    await openRoot(root)
    await mkdir(directory, { mode: 0o700 })
  })
  const own = getuid?.() !== 0
  for (const [file, bytes] of Object.entries(secrets)) {
    const path = join(directory, file)
    await writeFile(path, bytes, { mode: 0o400, flag: 'wx' })
    if (!own) await chown(path, user.uid, user.gid)
  }
  if (!own) await chown(directory, user.uid, user.gid)
  await chmod(directory, 0o500)
  return directory
}

/** The root goes with the last of them. */
export async function removeSecrets(directory: string): Promise<void> {
  await removeTree(directory)
  await rmdir(dirname(directory)).catch(() => {})
}

async function removeTree(directory: string): Promise<void> {
  await chmod(directory, 0o700).catch(() => {})
  await rm(directory, { recursive: true, force: true })
}

/** Removes the secrets of all names but those that are kept. */
export async function sweepSecrets(root: string, keep: (name: string) => boolean): Promise<void> {
  // What stands there may be a stranger's, and is then not ours to follow.
  if (!(await isOurs(root))) return
  for (const name of await readdir(root).catch(() => [])) {
    if (!keep(name)) await removeSecrets(join(root, name)).catch(() => {})
  }
}

function checkSecrets(secrets: Record<string, Uint8Array>): void {
  const entries = Object.entries(secrets)
  const bytes = entries.reduce((sum, [, secret]) => sum + secret.byteLength, 0)
  const named = entries.every(([name, secret]) => NAME.test(name) && secret instanceof Uint8Array)
  if (!named || entries.length > LIMITS.secretsPerJob || bytes > LIMITS.secretBytes) {
    throw new ManyhandsError('SPEC_INVALID', 'secrets: too many, too large, or one without a name')
  }
}

/** Everybody may write beside it: what stands there already must be a directory of our own. */
async function openRoot(root: string): Promise<void> {
  await mkdir(root, { mode: 0o700 }).catch(() => {})
  if (await isOurs(root)) return
  throw new ManyhandsError('RUNTIME_FAILED', `docker: ${root} belongs to somebody else`)
}

async function isOurs(root: string): Promise<boolean> {
  const found = await lstat(root).catch(() => undefined)
  const mine = found?.isDirectory() === true && found.uid === (getuid?.() ?? 0)
  return mine && (found.mode & 0o077) === 0
}
