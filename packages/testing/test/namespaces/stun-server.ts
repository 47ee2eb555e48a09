import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Place } from './bed.ts'
import { hasTool } from './namespace.ts'

/** Why there can be no STUN server here; undefined: there can. */
export function noStun(): string | undefined {
  return hasTool('turnserver', '--version') ? undefined : 'turnserver is missing (Debian: coturn)'
}

/** A real STUN server at a place, until it is disposed of. */
export class StunServer implements AsyncDisposable {
  /** `stun:HOST:PORT` */
  readonly url: string
  readonly #stop: () => Promise<void>

  private constructor(url: string, stop: () => Promise<void>) {
    this.url = url
    this.#stop = stop
  }

  static async start({ namespace, address }: Place): Promise<StunServer> {
    const dir = await mkdtemp(join(tmpdir(), 'manyhands-stun-'))
    const files = ['--pidfile', join(dir, 'pid'), '--userdb', join(dir, 'users')]
    const alone = ['-n', '--stun-only', '--no-tls', '--no-dtls', '--no-cli', '--log-file', 'stdout']
    const args = ['--listening-ip', address, ...alone, ...files]
    const child = namespace.spawn('turnserver', args, { stdio: 'ignore' })
    const exited = once(child, 'exit')
    // It says nothing of use, so the kernel is asked whether somebody listens at 3478.
    const listens = async () => /:0D96 /.test(await namespace.run('cat', '/proc/net/udp'))
    while (!(await listens())) {
      if (child.exitCode !== null) throw new Error('turnserver ended')
      await delay(50)
    }
    return new StunServer(`stun:${address}:3478`, async () => {
      child.kill('SIGKILL')
      await exited
      await rm(dir, { recursive: true, force: true })
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop()
  }
}
