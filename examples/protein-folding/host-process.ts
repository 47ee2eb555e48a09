import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { run } from '../debian-image/debian-image.ts'

/** A host in a process of its own. */
export interface HostProcess extends AsyncDisposable {
  readonly peerId: string
  readonly addresses: string[]
  /** As when its computer loses power: its process is killed, and what it runs is gone with it. */
  loseItsPower(): Promise<void>
}

/** Starts `host.ts` and waits for its first line. Disposing asks it to close and waits for that. */
export async function startHost(): Promise<HostProcess> {
  const program = fileURLToPath(new URL('host.ts', import.meta.url))
  const child = spawn(process.execPath, [...process.execArgv, program], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  child.stdin.on('error', () => {})
  const stop = async () => {
    child.stdin.end()
    const forced = setTimeout(() => child.kill('SIGKILL'), 20_000)
    await exited
    clearTimeout(forced)
  }
  const lines = createInterface({ input: child.stdout })
  const first = await Promise.race([
    once(lines, 'line').then(([line]) => String(line)),
    exited.then(([code]) => Promise.reject(new Error(`the host ended at its start with ${code}`))),
  ])
  const { peerId, addresses, instance } = JSON.parse(first) as Record<
    'peerId' | 'instance',
    string
  > & {
    addresses: string[]
  }
  const loseItsPower = async () => {
    child.kill('SIGKILL')
    await exited
    // Containers outlive their host's process, to be taken up by the next one; but not their computer.
    const label = `label=manyhands.host=${instance}`
    const { stdout } = await run('docker', ['ps', '--all', '--quiet', '--filter', label])
    const ids = stdout.split('\n').filter((id) => id !== '')
    if (ids.length > 0) await run('docker', ['rm', '--force', '--volumes', ...ids])
  }
  return { peerId, addresses, loseItsPower, [Symbol.asyncDispose]: stop }
}
