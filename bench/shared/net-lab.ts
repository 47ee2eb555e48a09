import { execFile, execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { promisify } from 'node:util'
import { type AtExit, atExit } from './at-exit.ts'

const PREFIX = 'mhbench'
/** 10.77.0.0/24; lives inside the namespaces, so nothing outside can collide with it. */
const NETWORK = '10.77.0'
/** A packet as the kernel hands it on before it is cut, and some: less would slow the link down. */
const BURST = '256kb'

const run = promisify(execFile)
const ip = (...args: string[]) => run('ip', args)

/** Computers that are only network namespaces, on one switch; gone with the object or the process. */
export interface NetLab extends AsyncDisposable {
  /** Another computer on the switch. `uplinkMbit` shapes what it sends; otherwise nothing is shaped. */
  addMachine(options?: { uplinkMbit?: number }): Promise<LabMachine>
}

export interface LabMachine {
  ip: string
  /** The command that runs a program on it. */
  inside: string[]
  /** Bytes that left it, counted at its interface with all headers, loopback apart. */
  sentBytes(): number
  /** Bytes over its loopback, both directions of a connection together. */
  loopbackBytes(): number
}

/** Opens a lab, or says on stderr why there cannot be one here. */
export async function openNetLab(): Promise<NetLab | undefined> {
  const missing = whyNot()
  if (missing !== undefined) {
    process.stderr.write(`Not measured: ${missing}\n`)
    return undefined
  }
  await removeLeftOvers()
  const lab = new NamespaceLab()
  try {
    await lab.open()
    return lab
  } catch (error) {
    lab.remove()
    process.stderr.write(`Not measured: network namespaces cannot be made here (${error})\n`)
    return undefined
  }
}

function whyNot(): string | undefined {
  if (process.platform !== 'linux') return 'network namespaces are Linux'
  if (process.getuid?.() !== 0) return 'network namespaces need root'
  for (const program of ['ip', 'tc', 'nsenter']) {
    if (!['/usr/sbin', '/sbin', '/usr/bin', '/bin'].some((at) => existsSync(`${at}/${program}`))) {
      return `there is no ${program} (Debian: apt-get install iproute2 util-linux)`
    }
  }
  return undefined
}

/** Of runs that were killed: their names carry the process that made them. */
async function removeLeftOvers(): Promise<void> {
  const { stdout } = await ip('netns', 'list')
  for (const [name, pid] of stdout.matchAll(new RegExp(`^${PREFIX}-(\\d+)-\\d+`, 'gm'))) {
    if (!existsSync(`/proc/${pid}`)) await ip('netns', 'del', name)
  }
}

class NamespaceLab implements NetLab {
  readonly #names: string[] = []
  readonly #switch = this.#nextName()
  #exit: AtExit | undefined

  #nextName(): string {
    return `${PREFIX}-${process.pid}-${this.#names.length}`
  }

  async #addNamespace(): Promise<string> {
    const name = this.#nextName()
    this.#names.push(name)
    await ip('netns', 'add', name)
    await ip('-n', name, 'link', 'set', 'lo', 'up')
    return name
  }

  async open(): Promise<void> {
    this.#exit = atExit(() => this.remove())
    await this.#addNamespace()
    await ip('-n', this.#switch, 'link', 'add', 'switch', 'type', 'bridge')
    await ip('-n', this.#switch, 'link', 'set', 'switch', 'up')
  }

  async addMachine({ uplinkMbit }: { uplinkMbit?: number } = {}): Promise<LabMachine> {
    const number = this.#names.length
    const name = await this.#addNamespace()
    const address = `${NETWORK}.${number}`
    const port = `port${number}`
    const peer = ['peer', 'name', 'eth0', 'netns', name]
    await ip('-n', this.#switch, 'link', 'add', port, 'type', 'veth', ...peer)
    await ip('-n', this.#switch, 'link', 'set', port, 'master', 'switch', 'up')
    await ip('-n', name, 'address', 'add', `${address}/24`, 'dev', 'eth0')
    await ip('-n', name, 'link', 'set', 'eth0', 'up')
    if (uplinkMbit !== undefined) {
      const shape = ['tbf', 'rate', `${uplinkMbit}mbit`, 'burst', BURST, 'latency', '50ms']
      await run('tc', ['-n', name, 'qdisc', 'add', 'dev', 'eth0', 'root', ...shape])
    }
    // `ip netns exec` shows /sys of the namespace. It also hides what is mounted inside from everyone
    // else, and engines have to see the volumes of a host.
    const count = (device: string) => {
      const path = `/sys/class/net/${device}/statistics/tx_bytes`
      return Number(execFileSync('ip', ['netns', 'exec', name, 'cat', path]))
    }
    return {
      ip: address,
      inside: ['nsenter', `--net=/run/netns/${name}`, '--'],
      sentBytes: () => count('eth0'),
      loopbackBytes: () => count('lo'),
    }
  }

  /** At once, as it has to be when the process ends. What still runs inside keeps its own until it ends. */
  remove(): void {
    this.#exit?.cancel()
    for (const name of this.#names.splice(0)) {
      try {
        execFileSync('ip', ['netns', 'del', name], { stdio: 'ignore' })
      } catch {
        // It could not be made.
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.remove()
  }
}
