import { constants } from 'node:fs'
import { chmod, lstat, mkdir, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { getgid, getuid, platform } from 'node:process'
import type { Workspace } from '@manyhands/core'

const SANDBOX_ID = 10001

/**
 * The user that containers run as. A host process that is root uses an id that owns nothing. Any
 * other lends its own: files of a stranger's id could be neither read nor removed by it afterwards.
 */
export function sandboxUser(): { uid: number; gid: number } {
  const uid = getuid?.() ?? 0
  return uid === 0 ? { uid: SANDBOX_ID, gid: SANDBOX_ID } : { uid, gid: getgid?.() || SANDBOX_ID }
}

/**
 * Lets the sandbox's user, and nobody else, write to the output directory and enter the inputs. Where
 * the engine maps users, whom it becomes is not known here, and everybody may.
 */
export async function openWorkspace(
  workspace: Workspace,
  user: { uid: number; gid: number },
  { mapped }: { mapped: boolean },
): Promise<void> {
  await mkdir(workspace.outDir, { recursive: true })
  await give(workspace.outDir, user, mapped ? 0o666 : 0o644)
  if (workspace.inDir === undefined) return
  // A single file in its place shares its bytes, and its mode, with whoever else has it.
  if ((await lstat(workspace.inDir)).isDirectory()) await chmod(workspace.inDir, 0o755)
}

/**
 * Gives a directory away, and what an earlier attempt has left in it, which the host has just put there. In
 * case somebody is in there already, every step goes from an open directory to a name in it, and no link is
 * followed.
 */
async function give(
  directory: string,
  user: { uid: number; gid: number },
  mode: number,
): Promise<void> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  const opened = await open(directory, flags)
  try {
    const found = await opened.stat()
    if (found.isDirectory()) {
      const here = platform === 'linux' ? `/proc/self/fd/${opened.fd}` : directory
      for (const name of await readdir(here)) await give(join(here, name), user, mode)
    } else if (!found.isFile() || found.nlink !== 1) return
    if (getuid?.() === 0) await opened.chown(user.uid, user.gid)
    // A file that could be executed still can; a directory can be entered.
    await opened.chmod(mode | (found.isDirectory() ? 0o111 : found.mode & 0o111))
  } finally {
    await opened.close()
  }
}
