import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** A host in a process of its own. */
export interface HostProcess extends AsyncDisposable {
  readonly peerId: string
  readonly addresses: string[]
}

/** Starts `host.ts` and waits for its first line. Disposing asks it to close and waits for that. */
export async function startHost(): Promise<HostProcess> {
  const program = fileURLToPath(new URL('host.ts', import.meta.url))
  const child = spawn(process.execPath, [...process.execArgv, program], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
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
  const { peerId, addresses } = JSON.parse(first) as { peerId: string; addresses: string[] }
  return { peerId, addresses, [Symbol.asyncDispose]: stop }
}
