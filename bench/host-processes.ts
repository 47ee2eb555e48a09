import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

const SCRIPT = new URL('./host-process.ts', import.meta.url).pathname

export interface HostProcesses extends AsyncDisposable {
  addresses: string[]
  children: ChildProcess[]
}

/** Starts hosts, each in a process of its own, on loopback; they end with the object. */
export async function startHostProcesses(
  count: number,
  options: { runtime: 'scripted' | 'wasm'; cpus: number },
): Promise<HostProcesses> {
  const children = Array.from({ length: count }, () =>
    spawn(process.execPath, [...process.execArgv, SCRIPT, JSON.stringify(options)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    }),
  )
  const addresses = await Promise.all(
    children.map(async (child) => {
      const [line] = await once(createInterface({ input: child.stdout! }), 'line')
      return JSON.parse(line).addresses[0] as string
    }),
  )
  return {
    addresses,
    children,
    async [Symbol.asyncDispose]() {
      await Promise.all(
        children.map((child) => {
          const gone = once(child, 'exit')
          child.stdin!.end()
          return gone
        }),
      )
    },
  }
}
