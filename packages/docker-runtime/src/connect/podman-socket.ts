import { platform } from 'node:os'
import { join } from 'node:path'
import type { ConnectStrategy } from './connect-strategy.ts'

/** Podman's Docker-compatible socket (systemctl enable --now podman.socket). */
export const podmanSocket: ConnectStrategy = {
  name: "Podman's socket",
  targets({ env: { XDG_RUNTIME_DIR: runtimeDir } = {} }) {
    if (platform() === 'win32') return []
    const paths = ['/run/podman/podman.sock']
    if (runtimeDir) paths.push(join(runtimeDir, 'podman/podman.sock'))
    return paths.map((socketPath) => ({ socketPath }))
  },
}
