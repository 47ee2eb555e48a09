import { platform } from 'node:os'
import { join } from 'node:path'
import type { ConnectStrategy } from './connect-strategy.ts'

/** An engine of this user: rootless Docker, Docker Desktop. */
export const rootlessSocket: ConnectStrategy = {
  name: 'a socket of this user',
  targets({ env: { XDG_RUNTIME_DIR: runtimeDir, HOME: home } = {} }) {
    if (platform() === 'win32') return []
    const paths: string[] = []
    if (runtimeDir) paths.push(join(runtimeDir, 'docker.sock'))
    if (home) {
      paths.push(join(home, '.docker/run/docker.sock'), join(home, '.docker/desktop/docker.sock'))
    }
    return paths.map((socketPath) => ({ socketPath }))
  },
}
