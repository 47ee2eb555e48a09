import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

/** Where this user's state lives: MANYHANDS_HOME, else the XDG state directory. */
export function stateHome(env: Record<string, string | undefined>): string {
  const home = env['MANYHANDS_HOME']
  if (home !== undefined && home !== '') return resolve(home)
  const xdg = env['XDG_STATE_HOME']
  // The XDG specification: a relative path is invalid and to be ignored.
  if (xdg?.startsWith('/')) return join(xdg, 'manyhands')
  return join(homedir(), '.local', 'state', 'manyhands')
}

/** State of the host of this computer. */
export function hostStateDirectory(
  env: Record<string, string | undefined>,
  cwd: string,
  chosen?: string,
): string {
  return chosen === undefined ? join(stateHome(env), 'host') : resolve(cwd, chosen)
}

/** Where a running host says how it is reached. */
export const controlFilePath = (stateDirectory: string) => join(stateDirectory, 'control.json')
