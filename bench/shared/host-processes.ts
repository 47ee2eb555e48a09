import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { atExit } from './at-exit.ts'

const SCRIPT = new URL('./host-process.ts', import.meta.url).pathname

export interface HostProcessOptions {
  runtimes: ('scripted' | 'wasm' | 'docker')[]
  cpus: number
  /** Default: a GiB per core of each. */
  memory?: string
  disk?: string
  listen?: string[]
  /** Whether it shows itself on its LAN. Default false. */
  mdns?: boolean
  state?: string
  /** Whether it opens its control API. */
  control?: boolean
  /** The socket of the engine that its docker runtime uses. */
  engine?: string
  /** The command that runs a program where this host is to be, as `nsenter --net=FILE`. */
  inside?: string[]
}

/** What a host process says of itself once it is ready. */
export interface ReadyHost {
  addresses: string[]
  instance: string
  /** How long `createHost()` took, and what the process had used of processors by then. */
  openMs: number
  cpuMs: number
  control: { url: string; token: string }
}

/** A host in a process of its own, on loopback; it closes with the object. */
export interface HostProcess extends AsyncDisposable {
  ready: ReadyHost
  child: ChildProcess
}

export async function startHostProcess(options: HostProcessOptions): Promise<HostProcess> {
  const node = [process.execPath, ...process.execArgv, SCRIPT, JSON.stringify(options)]
  const [program, ...args] = [...(options.inside ?? []), ...node]
  const child = spawn(program!, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const gone = once(child, 'exit')
  // One that goes on for a moment would write into directories that are being removed.
  const exit = atExit(() => child.kill('SIGKILL'))
  child.once('exit', () => exit.cancel())
  const line = await Promise.race([
    once(createInterface({ input: child.stdout! }), 'line').then(([text]) => text as string),
    gone.then(([code]) => {
      throw new Error(`a host process ended with ${code} before it was ready`)
    }),
  ])
  return {
    ready: JSON.parse(line) as ReadyHost,
    child,
    async [Symbol.asyncDispose]() {
      child.stdin!.end()
      await gone
    },
  }
}

export interface HostProcesses extends AsyncDisposable {
  addresses: string[]
  children: ChildProcess[]
}

/** Several hosts, each in a process of its own. */
export async function startHostProcesses(
  count: number,
  options: HostProcessOptions,
): Promise<HostProcesses> {
  const hosts = await Promise.all(Array.from({ length: count }, () => startHostProcess(options)))
  return {
    addresses: hosts.map((host) => host.ready.addresses[0]!),
    children: hosts.map((host) => host.child),
    async [Symbol.asyncDispose]() {
      await Promise.all(hosts.map((host) => host[Symbol.asyncDispose]()))
    },
  }
}
