import { chmod, chown, lstat, mkdir } from 'node:fs/promises'
import { getgid, getuid } from 'node:process'
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
  if (getuid?.() === 0) await chown(workspace.outDir, user.uid, user.gid)
  await chmod(workspace.outDir, mapped ? 0o777 : 0o755)
  if (workspace.inDir === undefined) return
  // A single file in its place shares its bytes, and its mode, with whoever else has it.
  if ((await lstat(workspace.inDir)).isDirectory()) await chmod(workspace.inDir, 0o755)
}
