import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

/** Commands of one user that borrow at once. */
const CLIENTS = 64

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

/**
 * State of clients of this user: of several that run at once each has its own, and so its own identity.
 * The first one is that of whoever runs one at a time.
 */
export function clientStateDirectories(env: Record<string, string | undefined>): string[] {
  const home = stateHome(env)
  return Array.from({ length: CLIENTS }, (_, n) =>
    join(home, n === 0 ? 'client' : `client-${n + 1}`),
  )
}

/** Where a running host says how it is reached. */
export const controlFilePath = (stateDirectory: string) => join(stateDirectory, 'control.json')
