import { platform } from 'node:os'
import type { ConnectStrategy } from './connect-strategy.ts'
import { STANDARD_SOCKET } from './engine-target.ts'

/** An engine of the whole computer. */
export const standardSocket: ConnectStrategy = {
  name: 'the standard socket',
  targets: () => (platform() === 'win32' ? [] : [{ socketPath: STANDARD_SOCKET }]),
}
