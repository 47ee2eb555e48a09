import type { ConnectStrategy } from './connect-strategy.ts'
import { parseTarget } from './engine-target.ts'

/** What the owner's program says. */
export const namedByOption: ConnectStrategy = {
  name: 'the option',
  targets({ socketPath, host, tls }) {
    if (host !== undefined) return [parseTarget(host, tls)]
    return socketPath === undefined ? [] : [{ socketPath }]
  },
}
