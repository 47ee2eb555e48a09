import { platform } from 'node:os'
import type { ConnectStrategy } from './connect-strategy.ts'
import { WINDOWS_PIPE } from './engine-target.ts'

/** Docker Desktop on Windows. */
export const windowsPipe: ConnectStrategy = {
  name: 'the named pipe',
  targets: () => (platform() === 'win32' ? [{ socketPath: WINDOWS_PIPE }] : []),
}
