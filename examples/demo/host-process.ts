import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const PROGRAM = fileURLToPath(new URL('./host.ts', import.meta.url))

/** How long a host has to close before it is killed. */
const CLOSE_MS = 5000

/** A host in a process of its own. */
export interface HostProcess extends AsyncDisposable {
  readonly name: string
  readonly peerId: string
  readonly addresses: string[]
  /** Ends it as a power cut would: no farewell to anybody. */
  kill(): Promise<void>
}

/**
 * Starts a host and waits for its ready line. Disposing asks it to close and waits for that.
 *
 * @param listen - default: a port of its own on the loopback interface, over TCP
 */
export async function startHost(name: string, ...listen: string[]): Promise<HostProcess> {
  const child = spawn(process.execPath, ['--conditions=@manyhands/source', PROGRAM, ...listen], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  // What is written to a host that is gone is lost; its exit says so.
  child.stdin.on('error', () => {})
  const line = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line').then(([text]) => String(text)),
    ended.then(([code]) => Promise.reject(new Error(`the host ${name} ended with code ${code}`))),
  ])
  const { peerId, addresses } = JSON.parse(line) as { peerId: string; addresses: string[] }
  return {
    name,
    peerId,
    addresses,
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
    async [Symbol.asyncDispose]() {
      child.stdin.end()
      const forced = setTimeout(() => child.kill('SIGKILL'), CLOSE_MS)
      await ended
      clearTimeout(forced)
    },
  }
}
