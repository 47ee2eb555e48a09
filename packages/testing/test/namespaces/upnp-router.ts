import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Home } from './bed.ts'
import { LAN, WAN } from './home-router.ts'
import { hasTool } from './namespace.ts'

/** Why no router here can have UPnP; undefined: it can. */
export function noUpnp(): string | undefined {
  return hasTool('miniupnpd', '--version') ? undefined : 'miniupnpd is missing (Debian: miniupnpd)'
}

/** UPnP in a home router, by a real daemon, until it is switched off. What it mapped goes with it. */
export class UpnpRouter implements AsyncDisposable {
  readonly #home: Home
  readonly #stop: () => Promise<void>

  private constructor(home: Home, stop: () => Promise<void>) {
    this.#home = home
    this.#stop = stop
  }

  /** @param allowed - whether it maps ports, or refuses */
  static async start(home: Home, { allowed = true } = {}): Promise<UpnpRouter> {
    const dir = await mkdtemp(join(tmpdir(), 'manyhands-upnp-'))
    const config = join(dir, 'miniupnpd.conf')
    const rule = allowed ? 'allow' : 'deny'
    await writeFile(
      config,
      `ext_ifname=${WAN}
listening_ip=${LAN}
ipv6_disable=yes
enable_natpmp=no
enable_upnp=yes
secure_mode=yes
uuid=${randomUUID()}
upnp_table_name=home
upnp_nat_table_name=home
upnp_forward_chain=upnp_forward
upnp_nat_chain=upnp_in
upnp_nat_postrouting_chain=upnp_out
${rule} 1024-65535 0.0.0.0/0 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
`,
    )
    const args = ['-d', '-f', config, '-P', join(dir, 'pid')]
    const child = home.router.spawn('miniupnpd', args, { stdio: ['ignore', 'pipe', 'pipe'] })
    const exited = once(child, 'exit')
    child.stdout!.resume()
    const lines = createInterface({ input: child.stderr! })
    const ready = Promise.withResolvers<void>()
    lines.on('line', (line) => {
      if (/HTTP listening/i.test(line)) ready.resolve()
    })
    exited.then(() => ready.reject(new Error('miniupnpd ended')), ready.reject)
    await ready.promise
    return new UpnpRouter(home, async () => {
      child.kill('SIGTERM')
      await exited
      await rm(dir, { recursive: true, force: true })
    })
  }

  /** Where what comes at a port outside goes to, `PORT HOST:PORT`. */
  async mapped(): Promise<string[]> {
    const rules = await this.#home.router.run('nft', 'list', 'chain', 'inet', 'home', 'upnp_in')
    const found = rules.matchAll(/dport (\d+) .*dnat ip to ([\d.]+:\d+)/g)
    return [...found].map(([, port, to]) => `${port} ${to}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop()
  }
}
